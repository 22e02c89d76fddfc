package restserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/storage"
)

func (s *Server) serve(w *recorder, r *http.Request, req request, access Access) {
	store, err := s.opts.Repositories.Open(r.Context(), req.repository)
	if err != nil {
		s.failure(w, r, err)
		return
	}
	readOnly := s.opts.ReadOnly != nil && s.opts.ReadOnly(r)
	switch {
	case r.Method == http.MethodGet && req.what == theList:
		s.list(w, r, store, req.handle.Type)
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && req.what == theFile:
		s.read(w, r, store, req.handle)
	case readOnly && (r.Method == http.MethodPost || r.Method == http.MethodDelete):
		fail(w, http.StatusForbidden, "this server only gives, it takes nothing")
	case r.Method == http.MethodPost && req.what == theFile:
		s.save(w, r, store, req)
	case r.Method == http.MethodPost && req.what == theRepository && r.URL.Query().Get("create") == "true":
		w.WriteHeader(http.StatusOK) // directories are made with the first file
	case r.Method == http.MethodDelete && req.what == theFile:
		if access != Full && req.handle.Type != storage.Lock {
			fail(w, http.StatusForbidden, "this server removes nothing but locks for you")
			return
		}
		s.remove(w, r, store, req)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
		fail(w, http.StatusMethodNotAllowed, "this cannot be done here")
	}
}

// failure answers with what became of a store. Only what a client must know is
// told; the log has the rest.
func (s *Server) failure(w *recorder, r *http.Request, err error) {
	status, text := http.StatusInternalServerError, "the server could not do it; its log says why"
	var full *quotaError
	switch {
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler)
	case errors.Is(err, storage.ErrNotFound):
		status, text = http.StatusNotFound, "there is no such file"
	case errors.Is(err, storage.ErrExists):
		status, text = http.StatusConflict, "the file is already there"
	case errors.As(err, &full):
		status, text = http.StatusInsufficientStorage, full.Error()
		s.opts.Log.Warn("a quota is used up", "path", r.URL.Path, "reason", text)
	case errors.Is(err, storage.ErrNoSpace):
		status, text = http.StatusInsufficientStorage, "no space is left"
	case errors.Is(err, storage.ErrReadOnly), errors.Is(err, fs.ErrPermission):
		status, text = http.StatusForbidden, "the server may not do that"
	case errors.Is(err, storage.ErrShort):
		status, text = http.StatusRequestedRangeNotSatisfiable, "the file is shorter"
	}
	if status == http.StatusInternalServerError {
		s.opts.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	fail(w, status, text)
}

// span is the part of a file that a request wants; length 0 is to the end.
type span struct{ offset, length int64 }

// wanted reads a Range header of one part from the front (RFC 9110, 14.1.2).
// Anything else may be answered with the whole file.
func wanted(header string, size int64) (part span, ranged, satisfiable bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, found := strings.Cut(spec, "-")
	if !ok || !found || first == "" || strings.Contains(spec, ",") {
		return span{0, size}, false, true
	}
	from, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return span{0, size}, false, true
	}
	to := size - 1
	if last != "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil || n < from {
			return span{0, size}, false, true
		}
		to = min(to, int64(n))
	}
	if int64(from) >= size {
		return span{}, true, false
	}
	return span{int64(from), to - int64(from) + 1}, true, true
}

func (s *Server) read(w *recorder, r *http.Request, store storage.Store, h storage.Handle) {
	info, err := store.Stat(r.Context(), h)
	if err != nil {
		s.failure(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Accept-Ranges", "bytes")
	if !info.Time.IsZero() {
		w.Header().Set("Last-Modified", info.Time.UTC().Format(http.TimeFormat))
	}
	part, ranged, satisfiable := wanted(r.Header.Get("Range"), info.Size)
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size, 10))
		w.WriteHeader(http.StatusOK)
		return
	}
	if !satisfiable {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", info.Size))
		fail(w, http.StatusRequestedRangeNotSatisfiable, "the file is shorter")
		return
	}
	content := io.NopCloser(io.Reader(strings.NewReader("")))
	if part.length > 0 {
		if content, err = store.Load(r.Context(), h, part.offset, part.length); err != nil {
			s.failure(w, r, err)
			return
		}
	}
	defer content.Close()
	w.Header().Set("Content-Length", strconv.FormatInt(part.length, 10))
	if ranged {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.offset, part.offset+part.length-1, info.Size))
		w.WriteHeader(http.StatusPartialContent)
	}
	n, err := io.Copy(w, content)
	if err != nil || n != part.length {
		if r.Context().Err() == nil {
			s.opts.Log.Error("a file broke off", "path", r.URL.Path, "sent", n, "of", part.length, "error", err)
		}
		panic(http.ErrAbortHandler) // the client must notice
	}
}

// save takes a file whole, sees that it is what its name says, and keeps it.
func (s *Server) save(w *recorder, r *http.Request, store storage.Store, req request) {
	// It also bounds the rest of a body that is refused: the server reads on a
	// while, so that the client sees the answer.
	_ = w.control.SetReadDeadline(time.Now().Add(s.opts.Stall.Window))
	size := r.ContentLength
	switch {
	case size < 0:
		fail(w, http.StatusLengthRequired, "say how long the file is")
		return
	case size > s.opts.MaxFile:
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("files may have %d bytes at most", s.opts.MaxFile))
		return
	}
	_, err := store.Stat(r.Context(), req.handle)
	if err == nil {
		err = storage.ErrExists
	}
	if !errors.Is(err, storage.ErrNotFound) {
		s.failure(w, r, err)
		return
	}
	done, err := s.quota.reserve(r.Context(), s.spaceOf(req), size, req.handle.Type == storage.Lock)
	if err != nil {
		s.failure(w, r, err)
		return
	}
	kept := false
	defer func() { done(kept) }()
	if err := s.memory.Acquire(r.Context(), size); err != nil {
		panic(http.ErrAbortHandler)
	}
	defer s.memory.Release(size)
	data, err := s.receive(w, r, size)
	if err != nil {
		s.opts.Log.Warn("an upload broke off", "path", r.URL.Path, "error", err)
		fail(w, http.StatusBadRequest, "the upload broke off")
		return
	}
	if req.handle.Type != storage.Config {
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != req.handle.Name {
			fail(w, http.StatusBadRequest, "the content does not have the name's SHA-256; it was changed on the way")
			return
		}
	}
	// What came whole is kept even if the client has just gone.
	if err := store.Save(context.WithoutCancel(r.Context()), req.handle, data); err != nil {
		s.failure(w, r, err)
		return
	}
	kept = true
	w.WriteHeader(http.StatusOK)
}

// receive reads a body that must have size bytes, and come along steadily.
func (s *Server) receive(w *recorder, r *http.Request, size int64) ([]byte, error) {
	data := make([]byte, size)
	for done := int64(0); done < size; {
		// In every window at least this much must come.
		step := min(size-done, max(s.opts.Stall.Bytes, 1))
		_ = w.control.SetReadDeadline(time.Now().Add(s.opts.Stall.Window))
		n, err := io.ReadFull(r.Body, data[done:done+step])
		done += int64(n)
		if err != nil {
			return nil, fmt.Errorf("after %d of %d bytes: %w", done, size, err)
		}
	}
	_ = w.control.SetReadDeadline(time.Time{})
	return data, nil
}

func (s *Server) remove(w *recorder, r *http.Request, store storage.Store, req request) {
	info, err := store.Stat(r.Context(), req.handle)
	if err == nil {
		err = store.Remove(r.Context(), req.handle)
	}
	if err != nil {
		s.failure(w, r, err)
		return
	}
	s.quota.free(s.spaceOf(req), info.Size, req.handle.Type == storage.Lock)
	w.WriteHeader(http.StatusOK)
}

// Media types of lists: names alone, and names with sizes.
const (
	mediaV1 = "application/vnd.x.restic.rest.v1"
	mediaV2 = "application/vnd.x.restic.rest.v2"
)

// list writes entries as they come. When the store fails midway the connection
// is broken, so that no client takes a part for the whole.
func (s *Server) list(w *recorder, r *http.Request, store storage.Store, t storage.Type) {
	sized := strings.Contains(r.Header.Get("Accept"), mediaV2)
	begun := false
	begin := func() {
		begun = true
		media := mediaV1
		if sized {
			media = mediaV2
		}
		w.Header().Set("Content-Type", media)
		io.WriteString(w, "[")
	}
	err := store.List(r.Context(), t, func(info storage.Info) error {
		var value any = info.Name
		if sized {
			value = struct {
				Name string `json:"name"`
				Size int64  `json:"size"`
			}{info.Name, info.Size}
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if begun {
			text = append([]byte(","), text...)
		} else {
			begin()
		}
		_, err = w.Write(text)
		return err
	})
	switch {
	case err == nil:
		if !begun {
			begin()
		}
		io.WriteString(w, "]")
	case begun:
		s.opts.Log.Error("a list broke off", "path", r.URL.Path, "error", err)
		panic(http.ErrAbortHandler)
	default:
		s.failure(w, r, err)
	}
}
