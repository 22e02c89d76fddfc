package configuration

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/kit/typed"
)

const (
	host  = record.HostID("000102030405060708090a0b0c0d0e0f")
	other = record.HostID("ffeeddccbbaa99887766554433221100")
	nonce = "00112233445566778899aabbccddeeff"
)

var now = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

func signer(seed byte) *Signer {
	return NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

func open() *Open {
	return &Open{
		Format:       Format,
		Identity:     record.Identity{Hostname: "smt1.example.com", Serial: "vk-1234", MACs: []string{"02:00:00:00:00:01"}},
		Systems:      []System{{Name: "smt", Profile: "smt", Digest: "sha256:abc", Repositories: []string{"main"}}},
		Repositories: []Repository{{Name: "main", Location: "rest:https://store.example.com/smt1"}},
		Layout:       json.RawMessage(`{"disks":[{"size":1000,"note":"a\u003cb"}]}`),
		Files:        []File{{Path: "/etc/lifeboat/lifeboat.yaml", Mode: 0o600, Content: []byte("repositories: []\n")}},
	}
}

func secret() *Secret {
	return &Secret{
		Format: Format, Host: host,
		Passwords:   map[string]string{"main": "correct horse"},
		Environment: map[string]string{"AWS_ACCESS_KEY_ID": "id"},
		Files:       []File{{Path: "/etc/lifeboat/repository.key", Mode: 0o600, Content: []byte("correct horse\n")}},
	}
}

func statement(t *testing.T) *Statement {
	t.Helper()
	text, err := open().Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &Statement{Host: host, HostName: "smt1", Version: 7, Created: now.Add(-time.Hour), Issued: now, Expires: now.Add(10 * time.Minute), Nonce: nonce, Open: text}
}

func signed(t *testing.T, s *Statement, with *Signer) []byte {
	t.Helper()
	envelope, err := s.Sign(with)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

func expected() Expected {
	return Expected{Keys: []ed25519.PublicKey{signer(9).Public(), signer(1).Public()}, Nonce: nonce, Now: now.Add(time.Minute)}
}

func TestThereAndBack(t *testing.T) {
	code := typed.NewCode()
	s := statement(t)
	var err error
	if s.Sealed, err = secret().SealToCode(code, s.Version); err != nil {
		t.Fatal(err)
	}
	c, err := Verify(signed(t, s, signer(1)), expected())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.Config, open()) || c.Version != 7 || c.HostName != "smt1" || !c.Created.Equal(s.Created) {
		t.Errorf("%+v", c)
	}
	got, err := c.Secret(code)
	if err != nil || !reflect.DeepEqual(got, secret()) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.Secret(typed.NewCode()); !errors.Is(err, ErrCode) {
		t.Errorf("another code: %v", err)
	}
	c.Sealed = nil
	if got, err := c.Secret(code); got != nil || err != nil {
		t.Errorf("nothing sealed: %v, %v", got, err)
	}
}

// Each answer is refused for what is wrong with it.
func TestRefused(t *testing.T) {
	for name, try := range map[string]struct {
		change func(*Statement)
		expect func(*Expected)
		with   byte
		want   error
	}{
		"foreign key":    {with: 3, want: ErrSignature},
		"no key pinned":  {expect: func(e *Expected) { e.Keys = nil }, want: ErrSignature},
		"replayed":       {expect: func(e *Expected) { e.Nonce = strings.Repeat("0", 32) }, want: ErrNonce},
		"to no request":  {expect: func(e *Expected) { e.Nonce = "" }, want: ErrNonce},
		"static":         {change: func(s *Statement) { s.Static, s.Nonce = true, "" }, want: ErrStatic},
		"frozen":         {expect: func(e *Expected) { e.Now = now.Add(time.Hour) }, want: ErrExpired},
		"of the future":  {expect: func(e *Expected) { e.Now = time.Unix(0, 0) }, want: ErrExpired},
		"lower version":  {expect: func(e *Expected) { e.Seen = seen(8, time.Time{}) }, want: ErrOlder},
		"earlier":        {expect: func(e *Expected) { e.Seen = seen(7, now.Add(time.Hour)) }, want: ErrOlder},
		"other host":     {expect: func(e *Expected) { e.Host = func(*Statement, *Open) error { return ErrOtherHost } }, want: ErrOtherHost},
		"open half":      {change: func(s *Statement) { s.Open = json.RawMessage(`{"format":1}`) }, want: ErrContent},
		"open format":    {change: func(s *Statement) { s.Open = json.RawMessage(`{"format":2}`) }, want: ErrFormat},
		"spelt anew":     {change: func(s *Statement) { s.Open = json.RawMessage(" " + string(s.Open)) }, want: ErrContent},
		"unknown key":    {change: func(s *Statement) { s.Open = json.RawMessage(`{"run":"x",` + string(s.Open[1:])) }, want: ErrContent},
		"doubled key":    {change: func(s *Statement) { s.Open = json.RawMessage(`{"format":1,` + string(s.Open[1:])) }, want: ErrContent},
		"smuggled field": {change: func(s *Statement) { s.Open = json.RawMessage(string(s.Open) + `,"host_name":"x"`) }, want: ErrContent},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := statement(t), expected()
			if try.change != nil {
				try.change(s)
			}
			if try.expect != nil {
				try.expect(&e)
			}
			if c, err := Verify(signed(t, s, signer(max(try.with, 1))), e); !errors.Is(err, try.want) || c != nil {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

func seen(version int64, issued time.Time) func(record.HostID) Seen {
	return func(id record.HostID) Seen {
		if id != host {
			return Seen{}
		}
		return Seen{version, issued}
	}
}

func TestTaken(t *testing.T) {
	static := statement(t)
	static.Static, static.Nonce = true, ""
	for name, try := range map[string]struct {
		s      *Statement
		change func(*Expected)
	}{
		"static from a file":        {static, func(e *Expected) { e.Nonce = "" }},
		"static where it is agreed": {static, func(e *Expected) { e.Static = true }},
		"answer all the same":       {statement(t), func(e *Expected) { e.Static = true }},
		"static of before":          {static, func(e *Expected) { e.Nonce, e.Seen = "", seen(7, now.Add(time.Hour)) }},
		"signed by a slow clock":    {statement(t), func(e *Expected) { e.Seen = seen(7, now.Add(time.Minute)) }},
		"seen before":               {statement(t), func(e *Expected) { e.Seen = seen(7, now) }},
		"clock a little behind":     {statement(t), func(e *Expected) { e.Now = now.Add(-5 * time.Minute) }},
		"one key twice":             {statement(t), func(e *Expected) { e.Keys = append(e.Keys, e.Keys...) }},
	} {
		e := expected()
		try.change(&e)
		if _, err := Verify(signed(t, try.s, signer(1)), e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No byte of an answer can be changed: what is taken all the same (the hint which key
// it was, unused bits at the end of base64) says the same.
func TestEveryByteCounts(t *testing.T) {
	envelope := signed(t, statement(t), signer(1))
	right, err := Verify(envelope, expected())
	if err != nil {
		t.Fatal(err)
	}
	for i := range envelope {
		changed := bytes.Clone(envelope)
		changed[i] ^= 1 << (i % 8)
		if c, err := Verify(changed, expected()); err == nil && !reflect.DeepEqual(c, right) {
			t.Fatalf("byte %d: %+v", i, c)
		}
	}
}

func TestBadEnvelopes(t *testing.T) {
	right := string(signed(t, statement(t), signer(1)))
	var e dsse.Envelope
	if err := json.Unmarshal([]byte(right), &e); err != nil {
		t.Fatal(err)
	}
	many := e
	for range maxSignatures {
		many.Signatures = append(many.Signatures, e.Signatures[0])
	}
	crowded, _ := json.Marshal(many)
	other, err := signer(1).Envelope("application/vnd.other", mustPayload(t, e))
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]struct {
		text string
		want error
	}{
		"empty":         {"", ErrContent},
		"no JSON":       {"<html>", ErrContent},
		"null":          {"null", ErrFormat},
		"no signature":  {strings.Replace(right, `"signatures":[`, `"others":[`, 1), ErrSignature},
		"crowded":       {string(crowded), ErrContent},
		"other type":    {string(other), ErrFormat},
		"type exchange": {strings.Replace(right, PayloadType, "application/vnd.other", 1), ErrFormat},
		"large":         {strings.Repeat(" ", MaxEnvelope) + right, ErrContent},
	} {
		if _, err := Verify([]byte(try.text), expected()); !errors.Is(err, try.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func mustPayload(t *testing.T, e dsse.Envelope) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeys(t *testing.T) {
	key := signer(1).Public()
	if got, err := ParseKey(" " + FormatKey(key) + "\n"); err != nil || !got.Equal(key) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "ed25519:", "ed25519:AAAA", FormatKey(key)[8:], "ed25519:" + strings.Repeat("!", 44), "rsa:" + FormatKey(key)[8:]} {
		if _, err := ParseKey(text); !errors.Is(err, ErrKey) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSealing(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := age.GenerateX25519Identity()
	sealed, err := secret().Seal(id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Unseal(sealed, host, id); err != nil || !reflect.DeepEqual(got, secret()) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := Unseal(sealed, other, id); !errors.Is(err, ErrOtherHost) {
		t.Errorf("put in another host's place: %v", err)
	}
	if _, err := Unseal(sealed, host, stranger); err == nil {
		t.Error("opened with another key")
	}
	code := typed.NewCode()
	toCode, err := secret().SealToCode(code, 7)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := secret().SealToCode(code, 7)
	if bytes.Equal(toCode, again) || bytes.Contains(toCode, []byte("horse")) {
		t.Error("it is not encrypted at random")
	}
	for name, try := range map[string]func() error{
		"other code":    func() error { _, err := OpenWithCode(toCode, typed.NewCode(), host, 7); return err },
		"other host":    func() error { _, err := OpenWithCode(toCode, code, other, 7); return err },
		"other version": func() error { _, err := OpenWithCode(toCode, code, host, 8); return err },
		"cut off":       func() error { _, err := OpenWithCode(toCode[:20], code, host, 7); return err },
		"empty":         func() error { _, err := OpenWithCode(nil, code, host, 7); return err },
	} {
		if err := try(); !errors.Is(err, ErrCode) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var update = flag.Bool("update", false, "write the vectors anew; only for a new format")

// What hosts, servers and media have written stays readable: the vectors must never
// change while the format is 1.
func TestVectors(t *testing.T) {
	code, err := typed.ParseCode("00GMV-4RW4Z-MQ3EJ-E219K")
	if err != nil {
		t.Fatal(err)
	}
	if got := Lookup(code); got != vectorLookup {
		t.Errorf("lookup id %s", got)
	}
	id, err := age.ParseX25519Identity(vectorIdentity)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join("testdata", name) }
	if *update {
		sealed, _ := secret().Seal(id.Recipient())
		s := statement(t)
		s.Sealed, _ = secret().SealToCode(code, s.Version)
		text, _ := open().Encode()
		for name, content := range map[string][]byte{"secret.age": sealed, "envelope.json": signed(t, s, signer(1)), "open.json": text} {
			if err := os.WriteFile(file(name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if text, err := open().Encode(); err != nil || !bytes.Equal(text, read("open.json")) {
		t.Errorf("the open half is %s, %v", text, err)
	}
	if s, err := Unseal(read("secret.age"), host, id); err != nil || !reflect.DeepEqual(s, secret()) {
		t.Errorf("at rest: %v, %v", s, err)
	}
	c, err := Verify(read("envelope.json"), expected())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Secret(code); err != nil || !reflect.DeepEqual(s, secret()) {
		t.Errorf("under the code: %v, %v", s, err)
	}
	// Signing is deterministic: the same statement gives the same envelope.
	s := statement(t)
	s.Sealed = c.Sealed
	if !bytes.Equal(signed(t, s, signer(1)), read("envelope.json")) {
		t.Error("the envelope is another one")
	}
}

const (
	vectorIdentity = "AGE-SECRET-KEY-1JD5QMYECT7RZA0AFGQZ6KTC2E4KXC6W0729DRTSZ5DA6R67QR3AQGVLFGY"
	vectorLookup   = "e27012d46db5ce27d02386ba57a2a6ae"
)
