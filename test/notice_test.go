package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/notice"
	"lifeboat/internal/notice/noticetest"
	"lifeboat/internal/storage/storagetest"
)

const toldConfig = `state_dir: DIR/state
repositories:
  - {name: main, url: DIR/repository, password: {file: DIR/password}}
systems:
  - name: site
    profile: site
    objectives: {rpo: 1000h}
    schedule: {backup: daily, verify: daily, status: daily}
notices:
  - name: admins
    mail: {server: 'MAIL', from: lifeboat@example.com, to: admin@example.com, user: lifeboat, password: {file: DIR/mail-password}, ca_file: CA}
  - name: chat
    on: always
    by_hand: true
    webhook: {url_from: {file: DIR/chat-url}, token: {file: DIR/token}, secret: {file: DIR/key}, ca_file: CA}
  - name: watch
    jobs: [backup]
    ping: {url: PING/zq7w, ca_file: CA}
`

// The story of a machine that nobody looks at: what became of each run reaches those
// who are to know, no secret goes anywhere, and a dead notice fails nothing.
func TestNotices(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: captures owners")
	}
	authority := noticetest.NewAuthority(t)
	const mailPassword, token, key = "mail password of the test", "token of the test", "key of the test"
	mails := noticetest.NewMailServer(t, authority, noticetest.StartTLS, "lifeboat", mailPassword)
	chat, watch := noticetest.NewWebServer(t, authority), noticetest.NewWebServer(t, authority)
	s := newSite(t, "MAIL", mails.Addr, "CA", authority.File, "PING", watch.URL)
	dir, put, lifeboat, says := s.dir, s.put, s.lifeboat, s.says
	put("password", "a password of the test\n")
	put("mail-password", mailPassword+"\n")
	put("token", token+"\n")
	put("key", key+"\n")
	put("chat-url", chat.URL+"/hooks/x7q9\n")
	put("profiles/site.yaml", lockedSite)
	put("lifeboat.yaml", toldConfig)
	put("data/file", "first")
	// last is what the chat got last.
	last := func() (m notice.Message) {
		t.Helper()
		all := chat.Requests()
		if len(all) == 0 {
			t.Fatal("the webhook got nothing")
		}
		got := all[len(all)-1]
		if got.Path != "/hooks/x7q9" || got.Header.Get("Authorization") != "Bearer "+token || got.Header.Get(notice.SignatureHeader) != notice.Signature([]byte(got.Body), key) {
			t.Errorf("%+v", got)
		}
		if err := json.Unmarshal([]byte(got.Body), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	pinged := func() string {
		var paths []string
		for _, r := range watch.Requests() {
			paths = append(paths, r.Path)
		}
		return strings.Join(paths, " ")
	}
	stock := storagetest.NewRestic(t, filepath.Join(dir, "repository"), nil, "--no-cache")
	stock.Run(t, "init", "--repository-version", "2")

	// A trial reaches all, and counts as nothing.
	says(lifeboat(0, "notice", "test"), "sent   admins  mail server "+mails.Addr, "sent   chat  "+chat.URL, "sent   watch  "+watch.URL)
	if got := mails.Mails(); len(got) != 1 || got[0].User != "lifeboat" || !got[0].TLS {
		t.Fatalf("%+v", got)
	}
	says(mails.Mails()[0].Text, "a trial of lifeboat's notices")
	says(lifeboat(2, "notice", "test", "nobody"), "no notice")

	// What goes well is told to those who want to know always; a ping tells of the
	// beginning and of the success.
	lifeboat(0, "schedule", "run", "site", "backup")
	if m := last(); m.Result != notice.Done || m.Job != "backup" || m.Systems[0] != "site" || !m.Scheduled || len(m.Facts) != 1 || !strings.HasPrefix(m.Facts[0], "recovery point ") {
		t.Errorf("%+v", m)
	}
	if got := pinged(); got != "/zq7w/log /zq7w/start /zq7w" {
		t.Errorf("pings: %s", got)
	}
	if len(mails.Mails()) != 1 {
		t.Error("a mail says that all is well")
	}

	// By hand only those are told who asked for it.
	lifeboat(0, "verify", "site")
	if m := last(); m.Job != "verify" || m.Scheduled || m.Result != notice.Done {
		t.Errorf("%+v", m)
	}
	sofar := len(chat.Requests())
	lifeboat(0, "backup", "site", "--dry-run")
	lifeboat(0, "list")
	if len(chat.Requests()) != sofar {
		t.Error("a list or a dry run was told")
	}

	// A failure: with what is wrong, and what to do.
	if err := os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	lifeboat(1, "schedule", "run", "site", "backup")
	if m := last(); m.Result != notice.Failed || m.Exit != 1 || m.State != "failed" {
		t.Errorf("%+v", m)
	}
	says(last().Text, "critical components are not on this machine: documents", "lifeboat schedule run site backup", "lifeboat runs show ", "the newest recovery point of site that is known is of ")
	if got := mails.Mails(); len(got) != 2 || !strings.Contains(got[1].Text, "critical components are not on this machine") || !strings.Contains(got[1].Text, "lifeboat schedule run site backup") {
		t.Fatalf("%+v", got)
	}
	if !strings.HasSuffix(pinged(), " /zq7w/start /zq7w/fail") {
		t.Errorf("pings: %s", pinged())
	}

	// The status tells what it finds, and its job is no failed one for that.
	lifeboat(3, "schedule", "run", "site", "status")
	if m := last(); m.Type != notice.AboutStatus || m.Result != notice.Warnings || m.State != "WARNING" {
		t.Errorf("%+v", m)
	}
	says(last().Text, "the last backup by schedule failed")
	says(mails.Mails()[2].Text, "protection of site: WARNING")
	if strings.Contains(lifeboat(0, "status"), "last status by schedule failed") {
		t.Error("a job failed because it found something")
	}

	// A dead notice is a warning of a run that is done, and remembered until it lives
	// again. The others get theirs.
	if err := os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	put("chat-url", chat.URL+"/hooks/x7q9\n")
	put("lifeboat.yaml", strings.Replace(toldConfig, "MAIL", "127.0.0.1:1", 1)+"    on: warning\n")
	put("token", "")
	says(lifeboat(3, "schedule", "run", "site", "backup"), "Recovery point", "warning: notice chat was not sent: the password in "+dir+"/token is empty", "lifeboat notice test chat")
	if got := pinged(); !strings.HasSuffix(got, " /zq7w/start /zq7w") {
		t.Errorf("pings: %s", got)
	}
	says(lifeboat(0, "notice", "list"), "not sent since")
	says(lifeboat(1, "status", "--check"), "notice chat does not get through")
	says(lifeboat(1, "--json", "notice", "test", "admins"), `"name":"admins"`, `"sent":false`, `"attempts":3`)
	put("token", token+"\n")
	lifeboat(0, "notice", "test", "chat")
	if strings.Contains(lifeboat(1, "status", "--check"), "notice chat") {
		t.Error("chat lives again")
	}
	stock.Run(t, "check", "--read-data")

	// A recovery has nobody in the schedule; it is told when it waits, is taken back, and
	// is done, and so is a restore in place. What only looks is not told.
	put("profiles/site.yaml", strings.Replace(lockedSite, "[{restore: documents}]", "[{restore: documents}, {confirm: Look at it., done: {file: DIR/seen}}]", 1))
	sofar = len(chat.Requests())
	lifeboat(0, "recover", "site", "--dry-run", "--force", "profile")
	lifeboat(4, "recover", "site", "--force", "profile") // there is no terminal to ask on
	lifeboat(0, "restore", "site", "documents", "--target", filepath.Join(dir, "beside"))
	if len(chat.Requests()) != sofar {
		t.Errorf("told: %+v", last())
	}
	lifeboat(5, "recover", "site", "--yes", "--force", "profile")
	if m := last(); m.Job != "recover" || m.Result != notice.Failed || m.Exit != 5 || m.State != "waits for a person" || m.Scheduled || m.Run == "" || len(m.Systems) != 1 {
		t.Errorf("%+v", m)
	}
	says(last().Text, "recovery from recovery point", "Look at it.", "lifeboat recover site --resume")
	put("seen", "yes\n")
	lifeboat(0, "recover", "site", "--resume", "--yes")
	if m := last(); m.Job != "recover" || m.Result != notice.Done || m.State != "done" {
		t.Errorf("%+v", m)
	}
	lifeboat(0, "restore", "site", "documents", "--yes", "--force", "profile")
	if m := last(); m.Job != "restore" || m.Result != notice.Done || m.Systems[0] != "site" || len(m.Systems) != 1 {
		t.Errorf("%+v", m)
	}
	lifeboat(0, "recover", "site", last().Run, "--rollback", "--yes")
	says(last().Text, "taking back of a restore of documents")

	// What ends before it is a run says too since when, and what to do.
	put("password", "another one\n")
	lifeboat(1, "backup", "site")
	t.Log(last().Text)
	says(last().Text, "the newest recovery point of site that is known is of ", "What to do:\n  lifeboat backup site\n")

	// Nothing secret stands anywhere but where it was put.
	for _, m := range mails.Mails() {
		s.spoken.WriteString(m.Text)
	}
	for _, r := range append(chat.Requests(), watch.Requests()...) {
		s.spoken.WriteString(r.Body)
	}
	state, err := exec.Command("grep", "-raFe", mailPassword, "-e", token, "-e", key, "-e", "x7q9", filepath.Join(dir, "state")).CombinedOutput()
	if err == nil {
		t.Errorf("the state directory holds a secret: %s", state)
	}
	for _, secret := range []string{mailPassword, token, key, "x7q9", "zq7w"} {
		if strings.Contains(s.spoken.String(), secret) {
			t.Errorf("%q stands in what was told", secret)
		}
	}
}
