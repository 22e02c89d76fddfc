package facts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// What is read of a file of facts is bounded. A large server has some 5000 packages,
// which is 1 MB.
const (
	maxText     = 64 << 20
	maxLine     = 1 << 20
	maxBlocks   = 20_000
	maxPackages = 200_000

	maxPackage = 1 << 44 // bytes: all of them together fit into a number
)

// ErrNoFacts says that what was read is no file of facts.
var ErrNoFacts = errors.New("this is no file of facts; `lifeboat facts --script` prints the script that writes one, and `lifeboat facts --json` writes one, too")

// ErrCut says that a file of facts is not complete.
var ErrCut = errors.New("the file of facts is cut off; gather it again")

// Read reads facts from what Script wrote, or from the JSON of Facts. The bytes are a
// stranger's: at most 64 MiB are read, and texts may hold whatever UTF-8 has.
func Read(r io.Reader) (*Facts, error) {
	in := bufio.NewReaderSize(&io.LimitedReader{R: r, N: maxText + 1}, 64<<10)
	head, err := in.Peek(3)
	switch {
	case err != nil && len(head) == 0:
		return nil, fmt.Errorf("%w (it is empty)", ErrNoFacts)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, fmt.Errorf("%w (its characters have two bytes: copy it as it is, not by a program that writes text anew)", ErrNoFacts)
	case string(head) == "\xef\xbb\xbf":
		_, _ = in.Discard(3)
	}
	if head, _ := in.Peek(1); string(head) == "{" {
		return readJSON(in)
	}
	raw, err := readRecord(in)
	if err != nil {
		return nil, err
	}
	f := raw.facts()
	if len(f.Packages) > maxPackages {
		return nil, fmt.Errorf("%w (it names %d packages)", ErrNoFacts, len(f.Packages))
	}
	return f, nil
}

func readJSON(in io.Reader) (*Facts, error) {
	f := &Facts{}
	if err := json.NewDecoder(in).Decode(f); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoFacts, err)
	}
	if f.Format != Format {
		return nil, fmt.Errorf("facts of format %d; this program reads format %d", f.Format, Format)
	}
	if len(f.Packages) > maxPackages {
		return nil, fmt.Errorf("%w (it names %d packages)", ErrNoFacts, len(f.Packages))
	}
	for _, p := range f.Packages {
		if p.Size < 0 || p.Size > maxPackage { // they are added up
			return nil, fmt.Errorf("%w (package %.60q has %d bytes)", ErrNoFacts, p.Name, p.Size)
		}
	}
	for _, s := range f.Space {
		if min(s.Size, s.Free) < 0 || max(s.Size, s.Free) > 1<<62 {
			return nil, fmt.Errorf("%w (%.60q has %d bytes)", ErrNoFacts, s.Path, s.Size)
		}
	}
	return f, nil
}

// reader takes a record apart, line by line.
type reader struct {
	in   *bufio.Reader
	raw  *record
	read int64
}

// line is the next line, without its end. Line ends of Windows are taken, too.
func (r *reader) line() (string, error) {
	var text []byte
	for {
		part, err := r.in.ReadSlice('\n')
		text = append(text, part...)
		r.read += int64(len(part))
		switch {
		case r.read > maxText:
			return "", fmt.Errorf("%w (it is longer than %d MiB)", ErrNoFacts, maxText>>20)
		case len(text) > maxLine:
			return "", fmt.Errorf("%w (a line is longer than %d bytes)", ErrNoFacts, maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return "", ErrCut // the last line ends, too
		case err != nil:
			return "", fmt.Errorf("read the facts: %w", err)
		default:
			return string(bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))), nil
		}
	}
}

func readRecord(in *bufio.Reader) (*record, error) {
	r := &reader{in: in, raw: &record{by: "script"}}
	if head, err := in.Peek(len(magic)); err != nil || string(head) != magic {
		return nil, ErrNoFacts
	}
	first, err := r.line()
	if err != nil {
		return nil, err
	}
	if first != magic+" 1" {
		return nil, fmt.Errorf("the file of facts says %.40q, this program reads %s 1", first, magic)
	}
	for {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "date":
			seconds, err := strconv.ParseInt(rest, 10, 40)
			if err != nil || seconds < 0 {
				return nil, fmt.Errorf("%w (date %.40q)", ErrNoFacts, rest)
			}
			r.raw.at = time.Unix(seconds, 0)
		case "user":
			r.raw.user, _ = strconv.Atoi(rest)
		case "root":
			r.raw.root = fit([]byte(rest))
		case "begin":
			if err := r.block(rest); err != nil {
				return nil, err
			}
		case "done":
			if rest != strconv.Itoa(len(r.raw.blocks)) {
				return nil, fmt.Errorf("%w (%d of %.20s parts are there)", ErrCut, len(r.raw.blocks), rest)
			}
			return r.raw, nil
		default:
			return nil, fmt.Errorf("%w (a line says %.40q)", ErrNoFacts, line)
		}
	}
}

const magic = "lifeboat-facts"

// block reads up to the line "end". Lines of its text begin with a stroke.
func (r *reader) block(head string) error {
	kind, name, ok := strings.Cut(head, " ")
	if !ok || len(r.raw.blocks) == maxBlocks {
		return fmt.Errorf("%w (part %.60q)", ErrNoFacts, head)
	}
	var text []string
	for {
		line, err := r.line()
		if err != nil {
			return err
		}
		if line == "end" {
			break
		}
		rest, ok := strings.CutPrefix(line, "|")
		if !ok {
			return fmt.Errorf("%w (a line of part %.60q says %.40q)", ErrNoFacts, head, line)
		}
		text = append(text, rest)
	}
	exit := 0
	if kind == "run" {
		code, ok := "", false
		if len(text) > 0 {
			code, ok = strings.CutPrefix(text[len(text)-1], "exit ")
		}
		n, err := strconv.Atoi(code)
		if !ok || err != nil {
			return fmt.Errorf("%w (part %.60q has no exit code)", ErrNoFacts, head)
		}
		exit, text = n, text[:len(text)-1]
	}
	r.raw.add(kind, fit([]byte(name)), []byte(strings.Join(text, "\n")), exit)
	return nil
}
