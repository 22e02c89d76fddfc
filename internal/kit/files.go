package kit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/kit/sheet"
	"lifeboat/internal/kit/typed"
)

// pdfEnd tells the name of one file from that of a directory.
const (
	pdfEnd  = ".pdf"
	textEnd = ".txt"
)

// files are those of a kit: made empty and private before there is a password, so
// that nothing can go wrong with their names afterwards.
type files struct {
	one   bool // sheet and shares in one PDF
	bases []string
	made  string // directory that was not there before
	list  []*os.File
}

// reserve makes the files. None of them may exist.
func reserve(output, kit string, shares int) (*files, error) {
	f := &files{}
	info, err := os.Stat(output)
	isDir := err == nil && info.IsDir()
	if f.one = !isDir && strings.HasSuffix(output, pdfEnd); f.one {
		f.bases = []string{strings.TrimSuffix(output, pdfEnd)}
	} else {
		if !isDir {
			if err := os.Mkdir(output, 0o700); err != nil {
				return nil, fmt.Errorf("directory for the recovery kit: %w", err)
			}
			f.made = output
		}
		base := filepath.Join(output, "lifeboat-kit-"+kit)
		f.bases = []string{base}
		for i := range shares {
			f.bases = append(f.bases, fmt.Sprintf("%s-share-%d", base, i+1))
		}
	}
	for _, base := range f.bases {
		for _, end := range []string{pdfEnd, textEnd} {
			file, err := os.OpenFile(base+end, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if errors.Is(err, fs.ErrExist) {
				err = fmt.Errorf("%s is there already and is not overwritten: %w", base+end, fs.ErrExist)
			}
			if err != nil {
				return nil, errors.Join(fmt.Errorf("write the recovery kit: %w", err), f.remove())
			}
			f.list = append(f.list, file)
		}
	}
	return f, nil
}

func (f *files) names() []string {
	names := make([]string, len(f.list))
	for i, file := range f.list {
		names[i] = file.Name()
	}
	return names
}

// remove takes away what reserve made.
func (f *files) remove() error {
	var errs []error
	for _, file := range f.list {
		_ = file.Close()
		errs = append(errs, os.Remove(file.Name()))
	}
	if f.made != "" {
		errs = append(errs, os.Remove(f.made))
	}
	return errors.Join(errs...)
}

// write fills the files and closes them.
func (f *files) write(s *sheet.Sheet, shares []typed.Share) error {
	pages := make([]sheet.Share, len(shares))
	for i, one := range shares {
		pages[i] = sheet.Share{Sheet: s, Number: one.Number, Groups: one.String()}
	}
	bound := pages
	if !f.one {
		bound = nil
	}
	pdf, err := s.PDF(bound...)
	if err != nil {
		return err
	}
	text := s.Text()
	for _, page := range bound {
		text += "\f" + page.Text()
	}
	contents := [][]byte{pdf, []byte(text)}
	if !f.one {
		for _, page := range pages {
			pdf, err := page.PDF()
			if err != nil {
				return err
			}
			contents = append(contents, pdf, []byte(page.Text()))
		}
	}
	for i, file := range f.list {
		_, err := file.Write(contents[i])
		if err == nil {
			err = file.Sync()
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("write the recovery kit: %w", err)
		}
	}
	return nil
}
