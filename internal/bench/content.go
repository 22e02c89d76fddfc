package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
)

var words = []string{
	"address", "archive", "backup", "catalog", "certificate", "channel", "client", "configuration",
	"credentials", "database", "default", "deployment", "directory", "disabled", "document", "enabled",
	"error", "false", "file", "group", "host", "identifier", "installed", "kernel", "key", "library",
	"link", "list", "log", "mirror", "module", "network", "none", "option", "package", "password", "path",
	"port", "product", "profile", "property", "proxy", "queue", "registration", "release", "repository",
	"request", "restart", "schedule", "schema", "script", "server", "service", "session", "settings",
	"snapshot", "source", "status", "subscription", "system", "table", "target", "timeout", "true",
	"update", "user", "value", "version", "warning", "zone",
}

// writeText writes configuration-like lines, exactly so many bytes. It
// compresses to about a third, as such files do.
func writeText(w *bufio.Writer, r *rand.Rand, bytes int64) error {
	line := make([]byte, 0, 256)
	for bytes > 0 {
		line = line[:0]
		line = append(line, words[r.IntN(len(words))]...)
		line = append(line, '.')
		line = append(line, words[r.IntN(len(words))]...)
		line = append(line, " = "...)
		for range 1 + r.IntN(6) {
			line = append(line, words[r.IntN(len(words))]...)
			line = append(line, ' ')
		}
		line = strconv.AppendUint(line, r.Uint64N(1e6), 10)
		line = append(line, '\n')
		n, err := w.Write(line[:min(int64(len(line)), bytes)])
		if err != nil {
			return err
		}
		bytes -= int64(n)
	}
	return nil
}

// writeNoise writes what compressed files look like: nothing to be gained.
func writeNoise(w io.Writer, seed uint64, bytes int64) error {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	_, err := io.CopyN(w, rand.NewChaCha8(key), bytes)
	return err
}

// writeDump writes a dump as mysqldump does: long INSERT lines of rows with
// numbers, names, times and hexadecimal blobs.
func writeDump(name string, bytes int64) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	defer func() {
		err = errors.Join(err, w.Flush(), f.Close(), os.Chtimes(name, epoch, epoch))
	}()
	r := newRand(2)
	row := make([]byte, 0, 1024)
	for id := uint64(1); bytes > 0; id++ {
		row = row[:0]
		if id%2000 == 1 {
			row = append(row, ";\nINSERT INTO `MachineData` VALUES "...)
		} else {
			row = append(row, ',')
		}
		row = append(row, '(')
		row = strconv.AppendUint(row, id, 10)
		row = append(row, ",'"...)
		row = appendHex(row, r, 16)
		row = append(row, "','"...)
		for range 2 + r.IntN(4) {
			row = append(row, words[r.IntN(len(words))]...)
			row = append(row, '-')
		}
		row = append(row, "','2026-"...)
		row = strconv.AppendInt(row, int64(10+r.IntN(3)), 10)
		row = append(row, "-17 08:15:"...)
		row = strconv.AppendInt(row, int64(10+r.IntN(50)), 10)
		row = append(row, "',0x"...)
		row = appendHex(row, r, 8+r.IntN(40))
		row = append(row, ")"...)
		n, err := w.Write(row[:min(int64(len(row)), bytes)])
		if err != nil {
			return err
		}
		bytes -= int64(n)
	}
	return nil
}

func appendHex(to []byte, r *rand.Rand, bytes int) []byte {
	const digits = "0123456789ABCDEF"
	for range bytes {
		b := r.Uint32()
		to = append(to, digits[b&15], digits[b>>4&15])
	}
	return to
}
