package zypper

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/host"
)

// Repository is a package repository as its .repo file describes it. Variables such as
// $releasever and $RCE are kept as they are written.
type Repository struct {
	Alias       string   `json:"alias"`
	Name        string   `json:"name,omitempty"`
	URLs        []string `json:"urls,omitempty"`
	MirrorList  string   `json:"mirror_list,omitempty"`
	Enabled     bool     `json:"enabled"`
	Autorefresh bool     `json:"autorefresh"`
	Priority    int      `json:"priority,omitempty"` // 0 is zypper's default, 99
	Keys        []string `json:"keys,omitempty"`     // where its keys are, gpgkey
	Service     string   `json:"service,omitempty"`  // that has brought it
	File        string   `json:"file,omitempty"`     // base name of its .repo file
	// Unchecked says that neither its metadata nor its packages need be signed
	// (gpgcheck=0 without a stricter repo_gpgcheck).
	Unchecked bool `json:"unchecked,omitempty"`
	// Keep says that downloaded packages stay in the cache.
	Keep bool `json:"keep,omitempty"`
}

const (
	repositoryDir = "/etc/zypp/repos.d"
	// Bounds of what is read there.
	maxRepositoryFile = 1 << 20
	maxRepositories   = 2000
	maxRepositoryLine = 64 << 10
)

// Repositories lists the package repositories of the root, by their files.
func (z *Zypper) Repositories() ([]Repository, error) {
	h, err := host.At(z.o.Files)
	if err != nil {
		return nil, err
	}
	files, err := h.Match(filepath.Join(repositoryDir, "*.repo"))
	if err != nil {
		return nil, fmt.Errorf("read package repositories: %w", err)
	}
	var all []Repository
	for _, name := range files {
		path, err := h.Path(name)
		if err != nil {
			return nil, err
		}
		list, err := readRepositoryFile(path)
		if err != nil {
			return nil, fmt.Errorf("package repositories of %s: %w", filepath.Base(name), err)
		}
		for i := range list {
			list[i].File = filepath.Base(name)
		}
		if all = append(all, list...); len(all) > maxRepositories {
			return nil, fmt.Errorf("more than %d package repositories", maxRepositories)
		}
	}
	return all, nil
}

func readRepositoryFile(path string) ([]Repository, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("it is no file"))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRepositoryFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxRepositoryFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxRepositoryFile)
	}
	return ParseRepositories(data)
}

// ParseRepositories reads the text of a .repo file: sections with keys and values, as
// zypper(8) and dnf.conf(5) have them. A value may go on in indented lines. What is not
// known is passed over.
func ParseRepositories(data []byte) ([]Repository, error) {
	var list []Repository
	var at *Repository
	key, checks := "", map[string]map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxRepositoryLine)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " \t\r")
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
			continue
		case line[0] == '[' && strings.HasSuffix(text, "]"):
			if len(list) >= maxRepositories {
				return nil, fmt.Errorf("more than %d sections", maxRepositories)
			}
			list = append(list, Repository{Alias: strings.TrimSpace(text[1 : len(text)-1]), Enabled: true})
			at, key = &list[len(list)-1], ""
			checks[at.Alias] = map[string]string{}
		case at == nil:
		case line[0] == ' ' || line[0] == '\t':
			at.set(key, text, checks[at.Alias])
		default:
			name, value, ok := strings.Cut(text, "=")
			if !ok {
				key = ""
				continue
			}
			key = strings.ToLower(strings.TrimSpace(name))
			at.set(key, strings.TrimSpace(value), checks[at.Alias])
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for i := range list {
		c := checks[list[i].Alias]
		list[i].Unchecked = no(c["gpgcheck"]) && !yes(c["repo_gpgcheck"]) && !yes(c["pkg_gpgcheck"])
	}
	return list, nil
}

func (r *Repository) set(key, value string, checks map[string]string) {
	if value == "" {
		return
	}
	switch key {
	case "name":
		r.Name = value
	case "baseurl":
		r.URLs = append(r.URLs, strings.Fields(value)...)
	case "mirrorlist", "metalink":
		r.MirrorList = value
	case "enabled":
		r.Enabled = yes(value)
	case "autorefresh":
		r.Autorefresh = yes(value)
	case "keeppackages":
		r.Keep = yes(value)
	case "priority":
		r.Priority, _ = strconv.Atoi(value)
	case "gpgkey":
		r.Keys = append(r.Keys, strings.Fields(value)...)
	case "service":
		r.Service = value
	case "gpgcheck", "repo_gpgcheck", "pkg_gpgcheck":
		checks[key] = value
	}
}

func yes(value string) bool {
	switch strings.ToLower(value) {
	case "1", "yes", "true", "on", "always", "+":
		return true
	}
	return false
}

func no(value string) bool { return value != "" && !yes(value) }

// alias is what may stand for a repository in zypper's arguments and as a file's name.
var alias = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:+@ ~-]{0,199}$`)

func checkAliases(aliases []string) error {
	for _, a := range aliases {
		if !alias.MatchString(a) {
			return fmt.Errorf("%q cannot be the alias of a package repository", a)
		}
	}
	return nil
}

// AddRepository adds a package repository; one that is there already by the same alias
// is replaced. Variables in its address stay as they are.
func (z *Zypper) AddRepository(ctx context.Context, r Repository) error {
	if err := checkAliases([]string{r.Alias}); err != nil {
		return err
	}
	if len(r.URLs) == 0 || strings.HasPrefix(r.URLs[0], "-") {
		return fmt.Errorf("package repository %s has no address", r.Alias)
	}
	have, err := z.Repositories()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(have, func(h Repository) bool { return h.Alias == r.Alias }) {
		if err := z.RemoveRepositories(r.Alias); err != nil {
			return err
		}
	}
	args := []string{"addrepo", "--no-check"}
	if r.Name != "" {
		args = append(args, "--name", r.Name)
	}
	if r.Unchecked {
		args = append(args, "--no-gpgcheck")
	}
	if !r.Enabled {
		args = append(args, "--disable")
	}
	if r.Autorefresh {
		args = append(args, "--refresh")
	}
	if r.Keep {
		args = append(args, "--keep-packages")
	}
	if r.Priority > 0 {
		args = append(args, "--priority", strconv.Itoa(r.Priority))
	}
	_, err = z.call(ctx, nil, append(args, r.URLs[0], r.Alias)...)
	if err != nil {
		return fmt.Errorf("add package repository %s: %w", r.Alias, err)
	}
	return nil
}

// Offer writes the package repositories that Apart has, instead of those it had. Their
// packages stay in its cache when they are installed, to be installed again.
func (z *Zypper) Offer(list []Repository) error {
	if z.o.Apart == "" {
		return errors.New("there is no directory to offer package repositories in")
	}
	dir := filepath.Join(z.o.Apart, "repos.d")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return fmt.Errorf("offer package repositories: %w", err)
	}
	for i, r := range list {
		text, err := r.text()
		if err != nil {
			return err
		}
		name := filepath.Join(dir, fmt.Sprintf("%03d.repo", i))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return fmt.Errorf("offer package repository %s: %w", r.Alias, err)
		}
	}
	return nil
}

// text is the repository as a .repo file.
func (r Repository) text() (string, error) {
	var b strings.Builder
	flag := map[bool]string{true: "1", false: "0"}
	fmt.Fprintf(&b, "[%s]\nname=%s\nenabled=%s\nautorefresh=0\nkeeppackages=1\n", r.Alias, cmp.Or(r.Name, r.Alias), flag[r.Enabled])
	for i, url := range r.URLs {
		b.WriteString([]string{"baseurl=", "        "}[min(i, 1)] + url + "\n")
	}
	if r.MirrorList != "" {
		fmt.Fprintf(&b, "mirrorlist=%s\n", r.MirrorList)
	}
	for i, key := range r.Keys {
		b.WriteString([]string{"gpgkey=", "       "}[min(i, 1)] + key + "\n")
	}
	if r.Priority > 0 {
		fmt.Fprintf(&b, "priority=%d\n", r.Priority)
	}
	if r.Unchecked {
		b.WriteString("gpgcheck=0\n")
	} else {
		b.WriteString("gpgcheck=1\n")
	}
	list, err := ParseRepositories([]byte(b.String()))
	if err != nil || checkAliases([]string{r.Alias}) != nil || len(list) != 1 || !slices.Equal(list[0].URLs, r.URLs) || list[0].Alias != r.Alias {
		return "", errors.Join(fmt.Errorf("package repository %q cannot be written to a file: its alias, name or address is not right", r.Alias), err)
	}
	return b.String(), nil
}

// Refresh reads the metadata of all enabled package repositories anew. With trust, keys
// that sign them and are not known yet are taken in; without it they are an error.
func (z *Zypper) Refresh(ctx context.Context, trust bool) (*Result, error) {
	var global []string
	if trust {
		global = []string{"--gpg-auto-import-keys"}
	}
	call := z.call
	if z.o.Apart != "" {
		call = z.untouched
	}
	r, err := call(ctx, global, "refresh", "--force")
	if err != nil {
		return r, fmt.Errorf("refresh package repositories: %w", err)
	}
	return r, nil
}
