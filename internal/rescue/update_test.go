package rescue

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/rescue/bundle"
	"lifeboat/internal/runbook"
)

// medium is a rescue system below a directory, and what it was asked to run.
type medium struct {
	Update
	ran    []string
	depmod error
	try    error
}

func newMedium(t *testing.T) *medium {
	root := t.TempDir()
	put(t, root, map[string]string{
		"bin/lifeboat": "old program", "proc/modules": "virtio 1 0\n", "sys/module/firmware_class/parameters/path": "",
		"sys/bus/pci/devices/a/modalias": "pci:v1\n", "sys/bus/usb/devices/b/modalias": "usb:v2\n", "etc/lifeboat/profiles/own.yaml": "old profile",
		"lib/modules/6.1/modules.dep": "",
	})
	m := &medium{}
	m.Update = Update{
		Root: root, Prefix: filepath.Join(root, "var/lib/lifeboat/rescue"), Kernel: "6.1", Program: filepath.Join(root, "bin/lifeboat"), Now: now,
		Run: func(_ context.Context, args ...string) error {
			m.ran = append(m.ran, strings.Join(args, " "))
			if args[0] == "depmod" {
				return m.depmod
			}
			return errors.New("no driver for some device")
		},
		Try: func(_ context.Context, program string) error {
			text, err := os.ReadFile(program)
			if err != nil || !strings.HasPrefix(string(text), "new program") {
				t.Errorf("tried %q, %v", text, err)
			}
			return m.try
		},
		Tell: func(e Event) { t.Logf("%s: %s", e.Name, e.Text) },
	}
	return m
}

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *medium) text(name string) string {
	text, err := os.ReadFile(filepath.Join(m.Root, name))
	if err != nil {
		return "error: " + err.Error()
	}
	return string(text)
}

// apply makes a bundle of files and applies it.
func (m *medium) apply(t *testing.T, version int64, files map[string]string) (*Updated, error) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, files)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	manifest, err := bundle.Make(root, version, "amd64", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := manifest.Write(&b, root, signer(1)); err != nil {
		t.Fatal(err)
	}
	r, err := OpenBundle(&b, bundle.Expected{Keys: []ed25519.PublicKey{signer(1).Public()}, Now: now, Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return m.Apply(t.Context(), r)
}

func newer() map[string]string {
	return map[string]string{
		"lifeboat": "new program", "profiles/own.yaml": "new profile", "tools/sfdisk": "tool", "firmware/a.bin": "firmware",
		"modules/6.1/net/igc.ko": "module", "modules/5.10/net/igc.ko": "other module",
	}
}

func TestApply(t *testing.T) {
	m := newMedium(t)
	got, err := m.apply(t, 5, newer())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(m.Prefix, "5")
	if got.Dir != dir || got.Modules != 1 || !got.Firmware || got.Tools != filepath.Join(dir, "tools") || !slices.Equal(got.Skipped, []string{"5.10"}) {
		t.Errorf("%+v", got)
	}
	for name, want := range map[string]string{
		"bin/lifeboat": "new program", "bin/lifeboat.previous": "old program", "etc/lifeboat/profiles/own.yaml": "new profile",
		"etc/lifeboat/profiles/own.yaml.aside-20261121-030000": "old profile", "lib/modules/6.1/updates/lifeboat/net/igc.ko": "module",
		"sys/module/firmware_class/parameters/path": filepath.Join(dir, "firmware"), "var/lib/lifeboat/rescue/5/firmware/a.bin": "firmware",
	} {
		if text := m.text(name); text != want {
			t.Errorf("%s: %s", name, text)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "modules/5.10")); err == nil {
		t.Error("modules of another kernel were unpacked")
	}
	if len(m.ran) < 2 || m.ran[0] != "depmod -a 6.1" || m.ran[1] != "modprobe --all --use-blacklist --quiet -- pci:v1 usb:v2" || len(m.ran) > 1+loadRounds {
		t.Errorf("%q", m.ran)
	}
	// The same again, and the next one without a program.
	if got, err = m.apply(t, 5, newer()); err != nil || got.Previous != "" || m.text("bin/lifeboat.previous") != "old program" {
		t.Errorf("again: %+v, %v", got, err)
	}
	if got, err = m.apply(t, 6, map[string]string{"tools/mkfs": "tool"}); err != nil || got.Program != "" || m.text("bin/lifeboat") != "new program" {
		t.Errorf("next: %+v, %v", got, err)
	}
	left, _ := filepath.Glob(filepath.Join(m.Prefix, unfinished+"*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A program that does not work here changes nothing.
func TestSelfTestFails(t *testing.T) {
	m := newMedium(t)
	m.try = errors.New("illegal instruction")
	if _, err := m.apply(t, 5, newer()); err == nil || !strings.Contains(err.Error(), "the old one stays: illegal instruction") {
		t.Error(err)
	}
	if m.text("bin/lifeboat") != "old program" || m.text("etc/lifeboat/profiles/own.yaml") != "old profile" || len(m.ran) > 0 {
		t.Errorf("something was changed: %q", m.ran)
	}
	if entries, err := os.ReadDir(m.Prefix); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestApplyFails(t *testing.T) {
	m := newMedium(t)
	m.depmod = errors.New("no such program")
	if _, err := m.apply(t, 5, newer()); err == nil || m.text("bin/lifeboat") != "old program" {
		t.Errorf("without depmod: %v, %s", err, m.text("bin/lifeboat"))
	}
	if _, err := os.Lstat(m.moduleDir()); err == nil {
		t.Error("modules are there that nothing knows")
	}
	m.depmod = nil
	if _, err := m.apply(t, 5, newer()); err != nil || m.text("bin/lifeboat") != "new program" {
		t.Errorf("afterwards: %v", err)
	}
	r, err := OpenBundle(strings.NewReader("no bundle"), bundle.Expected{})
	if !errors.Is(err, runbook.ErrRefused) || r != nil {
		t.Errorf("no bundle: %v", err)
	}
}

func TestSelfTest(t *testing.T) {
	for text, want := range map[string]string{
		"#!/bin/sh\necho lifeboat works $3\n":               "",
		"#!/bin/sh\necho lifeboat works 42\n":               "says nothing",
		"#!/bin/sh\nexit 3\n":                               "exit code 3",
		"#!/bin/sh\nyes\n":                                  "exit code",
		"\x7fELF\x02\x01\x01no program at all":              "exit code",
		"#!/bin/sh\n# says it without being asked\nkill $$": "signal",
	} {
		program := filepath.Join(t.TempDir(), "lifeboat")
		if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		err := SelfTest(t.Context(), program)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
