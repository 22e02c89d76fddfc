package rear

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fleet/record"
)

// suffix ends the archives' names, as the wish of ReaR issue 841 has them.
const suffix = ".rear_config.tgz"

// archive serves GET /rear/NAME.rear_config.tgz.
func (s *server) archive(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(r.PathValue("archive"), suffix)
	if !ok {
		http.NotFound(w, r)
		return
	}
	host, right, files, err := s.fetch(r, name)
	if err != nil {
		s.answer(w, r, err)
		return
	}
	content, err := pack(files)
	if err != nil {
		s.answer(w, r, err)
		return
	}
	detail := fmt.Sprintf("%d files by %s", len(files), right)
	s.send(w, r, host, "application/gzip", content, "rear.archive", detail)
}

// fetch lets a client in and gives the files of its host.
func (s *server) fetch(r *http.Request, name string) (host record.Host, right string, files []File, err error) {
	if host, right, err = s.admit(r, name); err != nil {
		return host, right, nil, err
	}
	files, err = s.files(r.Context(), host.ID)
	return host, right, files, err
}

// pack makes the archive. The same files give the same bytes.
func pack(files []File) ([]byte, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for _, f := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.Path, Mode: int64(f.Mode & 0o777), Size: int64(len(f.Content)),
			ModTime: f.Changed, Uname: "root", Gname: "root", Format: tar.FormatPAX,
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("archive for ReaR: %s: %w", f.Path, err)
		}
		if _, err := archive.Write(f.Content); err != nil {
			return nil, fmt.Errorf("archive for ReaR: %s: %w", f.Path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("archive for ReaR: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("archive for ReaR: %w", err)
	}
	return out.Bytes(), nil
}

// config serves DRLM's two ways to ask. Without a file it is drlm.conf, which is for
// this, or else local.conf, where a ReaR host has its own settings. Those that a host
// lists in CONFIG_APPEND_FILES are asked for by name, with or without ".conf".
func (s *server) config(w http.ResponseWriter, r *http.Request) {
	host, right, files, err := s.fetch(r, r.PathValue("name"))
	if err != nil {
		s.answer(w, r, err)
		return
	}
	wanted := []string{"drlm.conf", "local.conf"}
	if name := r.PathValue("file"); name != "" {
		wanted = []string{name, name + ".conf"}
	}
	for _, name := range wanted {
		at := slices.IndexFunc(files, func(f File) bool { return f.Path == path.Join("etc/rear", name) })
		if at >= 0 && path.Base(name) == name {
			s.send(w, r, host, "text/plain; charset=utf-8", files[at].Content, "rear.config", name+" by "+right)
			return
		}
	}
	s.answer(w, r, fmt.Errorf("%s: %w", wanted[0], record.ErrNotFound))
}

// send writes the audit entry and then the content: what is not audited is not sent.
func (s *server) send(w http.ResponseWriter, r *http.Request, host record.Host, kind string, content []byte, action, detail string) {
	err := s.Store.Change(r.Context(), func(tx record.Tx) ([]record.Entry, error) {
		return []record.Entry{s.entry(host, s.From(r), action, detail)}, tx.SawHost(host.ID, s.Now())
	})
	if err != nil {
		s.answer(w, r, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(content) // a client that goes away is no error of the server's
}
