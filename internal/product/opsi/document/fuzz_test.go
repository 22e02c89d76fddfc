package document_test

import (
	"bytes"
	"strings"
	"testing"

	"lifeboat/internal/product/opsi/document"
	"lifeboat/internal/product/opsi/document/documenttest"
)

// FuzzUnpack takes any bytes through recognition, decryption without a password,
// decompression and decoding.
func FuzzUnpack(f *testing.F) {
	for _, form := range documenttest.Forms("x") {
		f.Add(write(f, tiny(), form))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = document.Detect(bytes.NewReader(data))
		_, _ = document.Inspect(t.Context(), bytes.NewReader(data), document.Options{})
	})
}

// FuzzMsgpack and FuzzJSON keep to the encodings, which a fuzzer hardly finds
// through a compression.
func FuzzMsgpack(f *testing.F) {
	f.Add(write(f, tiny(), documenttest.Form{Encoding: "msgpack", Compression: "none"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 0 && data[0] != '{' {
			whole(t, data)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(write(f, tiny(), documenttest.Form{Encoding: "json", Compression: "none"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole(t, append([]byte("{"), data...))
	})
}

// whole: whatever was read makes rows that end where a dump ends, and no text of a
// document leaves its quotes.
func whole(t *testing.T, data []byte) {
	var dump bytes.Buffer
	w := document.NewWriter(&dump)
	_, err := document.Read(t.Context(), bytes.NewReader(data), nil, document.Handler{Object: w.Object})
	if err != nil {
		return
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(dump.String(), "\n-- Dump completed\n") {
		t.Error("the rows have no end")
	}
	if text := unquoted(dump.String()); strings.ContainsAny(text, "\x00\\") {
		t.Errorf("something of the document stands outside quotes: %q", text)
	}
}

// unquoted removes what stands in quotes, as a server would read it.
func unquoted(sql string) string {
	var out strings.Builder
	for i := 0; i < len(sql); i++ {
		if c := sql[i]; c != '\'' && c != '`' {
			out.WriteByte(c)
			continue
		}
		quote := sql[i]
		for i++; i < len(sql) && sql[i] != quote; i++ {
			if sql[i] == '\\' {
				i++
			}
		}
	}
	return out.String()
}

// tiny is a document that is soon read.
func tiny() documenttest.Object {
	return documenttest.Object{
		"meta": documenttest.Object{"type": "opsiconfd_backup", "version": "1", "timestamp": 1.5, "server_id": "s.example.org"},
		"objects": documenttest.Object{
			"Host":                []any{documenttest.Object{"id": "it's\\a.\"b\"", "description": nil}},
			"Config":              []any{documenttest.Object{"id": "c", "possibleValues": []any{true, "x"}, "defaultValues": []any{true}}},
			"AuditHardwareOnHost": []any{documenttest.Object{"hardwareClass": "MONITOR", "hostId": "h", "new": 1}},
		},
		"config_files": documenttest.Object{"f": documenttest.Object{"path": "/etc/opsi/f", "content": "x"}},
	}
}
