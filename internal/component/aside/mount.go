package aside

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Mounts lists the mount points at and below dir, a path of this process
// without symbolic links in it, as /proc/self/mountinfo (proc(5)) has them.
func Mounts(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer f.Close()
	var found []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if point := unescape(fields[4]); Below(point, dir) {
			found = append(found, point)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return found, nil
}

// Dangling refuses a path that is missing because a symbolic link there leads nowhere:
// what belongs below it would not be where the link's maker wants it.
func Dangling(path string) error {
	to, err := os.Readlink(path)
	if err != nil {
		return nil //nolint:nilerr // nothing, or no link
	}
	return fmt.Errorf("%s is a symbolic link to %s, where nothing is (is a disk not mounted?); make what it leads to, or remove the link: %w", path, to, fs.ErrNotExist)
}

// Below tells whether path is dir or below it.
func Below(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// unescape undoes the octal escapes of mountinfo: \040 is a space.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
