package document

import (
	"context"
	"fmt"
	"io"
	"time"

	"lifeboat/internal/excerpt"
)

// Read reads a document from its first byte to its last and hands its parts to
// h. The password is only looked at when the document is encrypted. What h has
// been given before an error is part of a damaged document.
func Read(ctx context.Context, r io.Reader, password []byte, h Handler) (Form, error) {
	plain, form, whole, err := open(obedient{ctx, r}, password)
	if err != nil {
		return form, fmt.Errorf("read the document: %w", err)
	}
	w := &walker{h: h}
	if form.Encoding == "json" {
		w.s = newText(plain)
	} else {
		w.s = newPacked(plain)
	}
	err = w.document()
	if err == nil {
		err = w.s.end()
	}
	if err == nil {
		err = whole()
	}
	if err != nil && w.own != nil {
		return form, w.own // the handler's, not the document's
	}
	if err != nil {
		return form, fmt.Errorf("read the document (%v): %w", form, mend(err))
	}
	return form, nil
}

// walker goes through a document.
type walker struct {
	s     source
	h     Handler
	seen  map[string]bool
	files int
	own   error // of the handler
}

// call hands something over.
func (w *walker) call(err error) error {
	if err != nil && w.own == nil {
		w.own = err
	}
	return err
}

func (w *walker) document() error {
	w.seen = map[string]bool{}
	err := w.s.fields(func(key string) error {
		if w.seen[key] {
			return fmt.Errorf("part %q stands twice: %w", excerpt.Line(key, 80), ErrDamaged)
		}
		w.seen[key] = true
		switch key {
		case "meta":
			return w.meta()
		case "objects":
			return w.objects()
		case "config_files":
			return w.configFiles()
		case "redis":
			return w.redis()
		}
		return w.unknown(key)
	})
	switch {
	case err != nil:
		return err
	case !w.seen["meta"]:
		return fmt.Errorf("it has no part meta: %w", ErrForeign)
	case !w.seen["objects"]:
		return fmt.Errorf("it has no part objects: %w", ErrDamaged)
	}
	return nil
}

func (w *walker) unknown(part string) error {
	if w.h.Unknown != nil {
		if err := w.call(w.h.Unknown(part)); err != nil {
			return err
		}
	}
	return w.s.skip()
}

func (w *walker) meta() error {
	v, err := w.s.value()
	if err != nil {
		return err
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("its part meta is no map: %w", ErrForeign)
	}
	text := func(name string) string {
		s, _ := fields[name].(string)
		return s
	}
	m := Meta{
		Type: text("type"), Version: text("version"), Opsiconfd: text("opsiconfd_version"),
		Node: text("node_name"), FQDN: text("fqdn"), HostID: text("host_id"), ServerID: text("server_id"),
	}
	// timestamp is in seconds; datetime says the same, in UTC.
	if s, ok := fields["timestamp"].(float64); ok && s > 0 && s < 1<<33 {
		m.Time = time.Unix(int64(s), 0)
	} else if t, err := time.Parse(time.DateTime, text("datetime")); err == nil {
		m.Time = t
	}
	if err := m.check(); err != nil {
		return w.call(fmt.Errorf("read the document: %w", err))
	}
	if w.h.Meta == nil {
		return nil
	}
	return w.call(w.h.Meta(m))
}

func (w *walker) objects() error {
	classes := map[string]bool{}
	return w.s.fields(func(class string) error {
		if classes[class] || len(classes) > maxFields {
			return fmt.Errorf("class %q stands twice: %w", excerpt.Line(class, 80), ErrDamaged)
		}
		classes[class] = true
		if w.h.Class != nil {
			if err := w.call(w.h.Class(class)); err != nil {
				return err
			}
		}
		return w.s.elements(func() error {
			v, err := w.s.value()
			if err != nil {
				return err
			}
			o, ok := v.(map[string]any)
			if !ok {
				return fmt.Errorf("an object of class %s is no map: %w", excerpt.Line(class, 80), ErrDamaged)
			}
			if w.h.Object == nil {
				return nil
			}
			return w.call(w.h.Object(class, o))
		})
	})
}

func (w *walker) configFiles() error {
	return w.s.fields(func(name string) error {
		if w.files++; w.files > maxFiles {
			return fmt.Errorf("more than %d configuration files: %w", maxFiles, ErrTooLarge)
		}
		v, err := w.s.value()
		if err != nil {
			return err
		}
		fields, _ := v.(map[string]any)
		f := File{Name: name}
		var ok bool
		if f.Path, ok = fields["path"].(string); !ok {
			return fmt.Errorf("configuration file %q has no path: %w", excerpt.Line(name, 80), ErrDamaged)
		}
		switch content := fields["content"].(type) {
		case nil:
		case string:
			f.Content, f.Present = content, true
		default:
			return fmt.Errorf("the content of configuration file %q is no text: %w", excerpt.Line(name, 80), ErrDamaged)
		}
		if w.h.File == nil {
			return nil
		}
		return w.call(w.h.File(f))
	})
}

// redis counts the keys; their values only suit the Redis that wrote them.
func (w *walker) redis() error {
	return w.s.fields(func(key string) error {
		if key != "dumped_keys" {
			return w.unknown("redis." + key)
		}
		return w.s.elements(func() error {
			name := ""
			err := w.s.fields(func(key string) error {
				if key != "name" {
					return w.s.skip()
				}
				v, err := w.s.value()
				name, _ = v.(string)
				return err
			})
			if err != nil || w.h.Redis == nil {
				return err
			}
			return w.call(w.h.Redis(name))
		})
	})
}
