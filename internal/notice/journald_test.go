package notice

import (
	"bytes"
	"encoding/binary"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fields reads a datagram as the journal does.
func fields(t *testing.T, data []byte) map[string]string {
	t.Helper()
	read := map[string]string{}
	for len(data) > 0 {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			t.Fatalf("no end of line in %q", data)
		}
		if name, value, plain := bytes.Cut(line, []byte("=")); plain {
			read[string(name)], data = string(value), rest
			continue
		}
		if len(rest) < 8 || uint64(len(rest)-9) < binary.LittleEndian.Uint64(rest) {
			t.Fatalf("field %s is cut off", line)
		}
		n := binary.LittleEndian.Uint64(rest)
		read[string(line)] = string(rest[8 : 8+n])
		if rest[8+n] != '\n' {
			t.Fatalf("field %s has no end", line)
		}
		data = rest[9+n:]
	}
	return read
}

func TestJournal(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	m := Message{
		Type: AboutRun, Host: "smt1", Systems: []string{"smt"}, Job: "backup-large", Result: Failed, State: "failed", Exit: 1, Scheduled: true, Run: "run-1", Version: "1",
		Problems: []string{"the disk is full\nPRIORITY=7"}, Next: []string{"lifeboat backup smt"},
	}
	if err := Journal(socket, m); err != nil {
		t.Errorf("without a journal: %v", err)
	}
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	receive := func() map[string]string {
		t.Helper()
		buf := make([]byte, 1<<20)
		if err := l.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return fields(t, buf[:n])
	}
	if err := Journal(socket, m); err != nil {
		t.Fatal(err)
	}
	got := receive()
	for name, want := range map[string]string{
		"MESSAGE":           "smt1: backup-large of smt: failed\nthe disk is full PRIORITY=7\nNext: lifeboat backup smt",
		"MESSAGE_ID":        JournalEnd,
		"PRIORITY":          "3",
		"SYSLOG_IDENTIFIER": "lifeboat",
		"LIFEBOAT_SYSTEM":   "smt", "LIFEBOAT_JOB": "backup-large", "LIFEBOAT_KIND": "backup", "LIFEBOAT_RESULT": "failed",
		"LIFEBOAT_EXIT": "1", "LIFEBOAT_RUN": "run-1", "LIFEBOAT_SCHEDULED": "true",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	m.Result, m.Problems, m.Run = Done, nil, ""
	if err := Journal(socket, m); err != nil {
		t.Fatal(err)
	}
	if got := receive(); got["PRIORITY"] != "6" || strings.Contains(got["MESSAGE"], "\n") || len(got) != 11 {
		t.Errorf("%q", got)
	}
	m.Result = Warnings
	for range 40 {
		m.Problems = append(m.Problems, strings.Repeat("x", len(m.Problems))+strings.Repeat("ö", 2000))
	}
	if err := Journal(socket, m); err != nil {
		t.Fatal(err)
	}
	if got := receive(); got["PRIORITY"] != "4" || len(got["MESSAGE"]) > mostJournaled || len(got["MESSAGE"]) < mostJournaled/2 {
		t.Errorf("%d bytes, %s", len(got["MESSAGE"]), got["PRIORITY"])
	}
}
