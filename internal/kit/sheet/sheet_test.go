package sheet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/kit/typed"
)

func example(stages, steps int) *Sheet {
	s := &Sheet{
		Kit: "7F3K", Created: time.Date(2026, 11, 21, 17, 0, 0, 0, time.UTC), Host: "smt1.verwaltung.example.com", Version: "0.1.0",
		Repository: []Line{
			{"Address", "rest:https://backup.example.com:8443/smt1/"},
			{"Repository id", strings.Repeat("0123456789abcdef", 4)},
			{"Key", "1a2b3c4d, revoked with: lifeboat kit revoke 7F3K"},
		},
		Proofs:   []Line{{"TLS certificate", "sha256:" + strings.Repeat("6f1c", 16)}},
		Lifeboat: []string{"lifeboat kit recover --repository rest:https://backup.example.com:8443/smt1/ -o fingerprint=sha256:" + strings.Repeat("6f1c", 16) + " -o rest.user=smt1 -o 'rest.password={file: /root/store.password}'", "lifeboat recover smt --repository rest:https://backup.example.com:8443/smt1/"},
		Restic:   []string{"# With the password of this kit:", "export RESTIC_REPOSITORY=rest:https://backup.example.com:8443/smt1/", "restic snapshots --tag system:smt"},
		Command:  "lifeboat kit recover --repository rest:https://backup.example.com:8443/smt1/",
		Elsewhere: []Secret{
			{"CA password", "Jürgen Weiß, safe in room 12", "Signing new server certificates."},
			{"Database administrator", "", "Setting the database up."},
		},
		Password: typed.Password([typed.SecretSize]byte{1, 2, 3, 250, 17}),
	}
	system := System{Name: "smt", Title: "SUSE Subscription Management Tool"}
	for i := range stages {
		stage := Stage{Number: i + 1, Title: fmt.Sprintf("Stage number %d puts back what was saved", i+1)}
		for j := range steps {
			stage.Steps = append(stage.Steps, fmt.Sprintf("Step %d of it: restore the %s", j+1, strings.Repeat("configuration ", j%4)))
		}
		system.Stages = append(system.Stages, stage)
	}
	s.Systems = []System{system}
	return s
}

func split(s *Sheet) []Share {
	s.Password, s.Total, s.Threshold, s.RecoverWithShares = "", 5, 3, s.Lifeboat[0]
	shares := make([]Share, 5)
	for i := range shares {
		one := typed.Share{Kit: s.Kit, Number: i + 1, Threshold: 3, Data: [typed.DataSize]byte{byte(i), 7, 99}}
		shares[i] = Share{Sheet: s, Number: i + 1, Groups: one.String()}
	}
	return shares
}

// drawn is the text of each page, as poppler reads it.
func drawn(t *testing.T, pdf []byte) []string {
	t.Helper()
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("needs pdftotext (poppler-utils): reads the PDF")
	}
	file := filepath.Join(t.TempDir(), "kit.pdf")
	if dir := os.Getenv("KIT_PDF_DIR"); dir != "" {
		file = filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-")+".pdf")
	}
	if err := os.WriteFile(file, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pdftotext", "-layout", file, "-").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Nothing is drawn beyond the margins of the page.
	boxes, err := exec.Command("pdftotext", "-bbox", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(boxes)) {
		var x, y, right, bottom float64
		if n, _ := fmt.Sscanf(strings.TrimSpace(line), `<word xMin="%f" yMin="%f" xMax="%f" yMax="%f">`, &x, &y, &right, &bottom); n == 4 {
			if x < 40 || y < 30 || right > 556 || bottom > 792 {
				t.Errorf("beyond the page: %s", line)
			}
		}
	}
	return strings.Split(strings.TrimSuffix(string(out), "\f"), "\f")
}

func squeezed(s string) string { return strings.Join(strings.Fields(s), "") }

func TestPages(t *testing.T) {
	long := strings.Repeat("sehr-langer-rechnername-", 10) + "ende.example.com"
	tests := []struct {
		name   string
		change func(*Sheet)
		pages  int
	}{
		{"usual", func(*Sheet) {}, 2},
		{"no systems", func(s *Sheet) { s.Systems = nil }, 1},
		{"long names", func(s *Sheet) {
			s.Host = long
			s.Repository[0].Value = "sftp:backup@" + long + ":/lifeboat"
			s.Lifeboat[0] = "lifeboat kit recover --repository sftp:backup@" + long + ":/lifeboat"
			s.Command = s.Lifeboat[0]
		}, 2},
		{"long runbook", func(s *Sheet) { *s = *example(8, 30) }, 2},
		{"endless runbook", func(s *Sheet) { *s = *example(9, 400) }, 2},
		{"many stages", func(s *Sheet) { *s = *example(900, 2) }, 2},
		{"other letters", func(s *Sheet) {
			s.Host = "søværnet-Łódź-Ελλάδα-Москва"
			s.Elsewhere[0].Who = "Żółć Ünal ß 中文 😀\x1b[31m\r\n\u202e"
		}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := example(7, 6)
			test.change(s)
			pdf, err := s.PDF()
			if err != nil {
				t.Fatal(err)
			}
			pages := drawn(t, pdf)
			if len(pages) != test.pages {
				t.Fatalf("%d pages", len(pages))
			}
			all := squeezed(strings.Join(pages, ""))
			for _, want := range []string{s.Host, s.Repository[0].Value, s.Repository[1].Value, s.Proofs[0].Value, "Jürgen Weiß", "CA password", "smt"} {
				if want == "Jürgen Weiß" && test.name == "other letters" {
					want = "Żółć Ünal ß ?? ?"
				}
				if want == "smt" && len(s.Systems) == 0 {
					continue
				}
				if !strings.Contains(all, squeezed(want)) {
					t.Errorf("%q is not on the pages\n%s", want, strings.Join(pages, "\f"))
				}
			}
			for _, g := range groups(s.Password) {
				if !strings.Contains(pages[0], g) {
					t.Errorf("group %s is not on the first page", g)
				}
			}
		})
	}
}

func TestSharesHaveAPageEach(t *testing.T) {
	t.Parallel()
	s := example(7, 6)
	password := s.Password
	shares := split(s)
	pdf, err := s.PDF(shares...)
	if err != nil {
		t.Fatal(err)
	}
	pages := drawn(t, pdf)
	if len(pages) != 7 {
		t.Fatalf("%d pages", len(pages))
	}
	if strings.Contains(squeezed(strings.Join(pages, "")), squeezed(password)) {
		t.Error("a split password is printed")
	}
	for i, page := range pages[2:] {
		found, err := typed.Find(page)
		if err != nil || len(found) != 1 || found[0].Share.String() != shares[i].Groups {
			t.Errorf("page of share %d: %+v, %v\n%s", i+1, found, err, page)
		}
		if !strings.Contains(page, fmt.Sprintf("Share %d of 5 of recovery kit 7F3K", i+1)) || !strings.Contains(page, "page 1") {
			t.Errorf("share %d:\n%s", i+1, page)
		}
	}
	alone, err := shares[2].PDF()
	if err != nil {
		t.Fatal(err)
	}
	if pages := drawn(t, alone); len(pages) != 1 || !strings.Contains(pages[0], "Share 3 of 5") {
		t.Errorf("a share alone: %q", pages)
	}
}

func TestText(t *testing.T) {
	s := example(3, 2)
	text := s.Text()
	for _, want := range []string{"  " + s.Lifeboat[0] + "\n", "held by: Jürgen Weiß", "held by: ____", "  3.2  Step 2", s.Password} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if found, err := typed.Find(text); err != nil || len(found) != 1 || found[0].Password != s.Password {
		t.Errorf("read back: %+v, %v", found, err)
	}
	for _, share := range split(s) {
		if found, err := typed.Find(share.Text()); err != nil || len(found) != 1 || found[0].Share.String() != share.Groups {
			t.Errorf("read back: %+v, %v\n%s", found, err, share.Text())
		}
	}
	if found, err := typed.Find(s.Text()); err == nil && len(found) > 0 {
		t.Errorf("the sheet without a password holds one: %+v", found)
	}
	s.Systems[0].Title = "a\x1b[2Jb\nc\u202e"
	if text := s.Text(); strings.Contains(text, "\x1b") || strings.Contains(text, "\u202e") {
		t.Error("what a terminal obeys")
	}
}
