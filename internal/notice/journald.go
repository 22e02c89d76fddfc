package notice

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/config"
)

// JournalSocket is where systemd's journal takes entries.
const JournalSocket = "/run/systemd/journal/socket"

// JournalEnd is the MESSAGE_ID of a run that has ended: journalctl MESSAGE_ID=… finds
// them all.
const JournalEnd = "5c6b0d7ee0a14bf0a4c1e9b7d3f2a860"

// Priorities of syslog(3).
const (
	priorityError   = 3
	priorityWarning = 4
	priorityInfo    = 6
)

// mostJournaled bounds the text of an entry, in bytes: a datagram must hold it.
const mostJournaled = 32 << 10

// Journal enters the end of a run in the journal that listens at a socket. Where none
// does, it does nothing. It never waits long for a journal that does not read.
//
// The form of an entry is that of
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL/.
func Journal(socket string, m Message) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tell the system's journal: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return fmt.Errorf("tell the system's journal: %w", err)
	}
	if _, err := conn.Write(entry(m.Bounded())); err != nil {
		return fmt.Errorf("tell the system's journal: %w", err)
	}
	return nil
}

// entry is the datagram of a message.
func entry(m Message) []byte {
	text := m.Subject()
	for _, p := range m.Problems {
		text += "\n" + p
	}
	if m.Result != Done {
		for _, next := range m.Next {
			text += "\nNext: " + next
		}
	}
	if len(text) > mostJournaled {
		text = strings.ToValidUTF8(text[:mostJournaled], "")
	}
	priority := map[Result]int{Done: priorityInfo, Warnings: priorityWarning}[m.Result]
	if priority == 0 {
		priority = priorityError
	}
	kind := m.Job
	if config.JobKind(m.Job) != "" {
		kind = config.JobKind(m.Job)
	}
	var out bytes.Buffer
	for _, field := range [][2]string{
		{"MESSAGE", text},
		{"MESSAGE_ID", JournalEnd},
		{"PRIORITY", strconv.Itoa(priority)},
		{"SYSLOG_IDENTIFIER", "lifeboat"},
		{"LIFEBOAT_SYSTEM", strings.Join(m.Systems, " ")},
		{"LIFEBOAT_JOB", m.Job},
		{"LIFEBOAT_KIND", kind},
		{"LIFEBOAT_RESULT", string(m.Result)},
		{"LIFEBOAT_EXIT", strconv.Itoa(m.Exit)},
		{"LIFEBOAT_SCHEDULED", strconv.FormatBool(m.Scheduled)},
		{"LIFEBOAT_RUN", m.Run},
		{"LIFEBOAT_VERSION", m.Version},
	} {
		if field[1] == "" {
			continue
		}
		out.WriteString(field[0])
		if strings.Contains(field[1], "\n") {
			out.WriteByte('\n')
			_ = binary.Write(&out, binary.LittleEndian, uint64(len(field[1])))
			out.WriteString(field[1])
		} else {
			out.WriteString("=" + field[1])
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}
