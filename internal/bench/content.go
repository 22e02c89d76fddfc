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

// content is what a file holds.
type content int

const (
	text    content = iota // compresses to a third
	program                // to a half
	noise                  // not at all
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

// writeProgram writes what machine code looks like to a compressor: short
// sequences, some of them far more frequent than others, and between them bytes
// that never repeat. It compresses to about a half.
func writeProgram(w *bufio.Writer, r *rand.Rand, bytes int64) error {
	var sequences [2048][]byte
	for i := range sequences {
		sequence := make([]byte, 2+r.IntN(8))
		for j := range sequence {
			sequence[j] = byte(r.Uint32() & r.Uint32()) // as in code, small values are more frequent
		}
		sequences[i] = sequence
	}
	piece := make([]byte, 0, 16)
	for bytes > 0 {
		x := r.Float64()
		piece = append(piece[:0], sequences[int(x*x*x*float64(len(sequences)))]...)
		if r.IntN(3) == 0 {
			n := r.Uint32()
			piece = append(piece, byte(n), byte(n>>8))
		}
		n, err := w.Write(piece[:min(int64(len(piece)), bytes)])
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
