package console

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
)

var rowOf = regexp.MustCompile(`<th scope="row"><a href="/hosts/[0-9a-f]+"><bdi>([^<]*)</bdi>`)

func hostsOn(page string) []string {
	var names []string
	for _, m := range rowOf.FindAllStringSubmatch(page, -1) {
		names = append(names, strings.TrimSuffix(m[1], ".example.com"))
	}
	return names
}

func TestGlance(t *testing.T) {
	f := newFleet(t)
	f.showcase()
	b := f.browser("vera")
	cases := []struct{ query, want string }{
		{"state=failing", "opsi1"},
		{"state=no+point", "opsi2"},
		{"state=late", "smt1"},
		{"state=never+drilled", "itms1"},
		{"state=not+joined", "new1"},
		{"state=revoked", "old1"},
		{"state=protected&group=smt", "rmt1"},
		{"group=opsi", "opsi1 opsi2"},
		{"name=MT1", "smt1 rmt1"},
		{"name=sn-0003", "rmt1"},
		{"name=52:54:00:00:00:03", "rmt1"},
		{"name=old", "old1"},
		{"name=nothing+like+it", ""},
		{"state=nonsense", ""},
	}
	for _, c := range cases {
		if _, page := b.get("/?" + c.query); strings.Join(hostsOn(page), " ") != c.want {
			t.Errorf("%s: %v, want %s", c.query, hostsOn(page), c.want)
		}
	}
	_, page := b.get("/")
	if names := strings.Join(hostsOn(page), " "); !strings.HasPrefix(names, "opsi1 opsi2 smt1 ") || strings.Contains(names, "old1") {
		t.Errorf("the worst first, and nobody who left: %s", names)
	}
	for _, tile := range []string{">23</span> <span class=\"name\">All hosts", ">18</span> <span class=\"name\">Protected", ">1</span> <span class=\"name\">Late", ">1</span> <span class=\"name\">Never drilled"} {
		if !strings.Contains(page, tile) {
			t.Errorf("no %s", tile)
		}
	}
	if !strings.Contains(page, "Going on now") || !strings.Contains(page, "recovery of <bdi>smt</bdi> on <bdi>smt1.example.com</bdi>") {
		t.Error("nothing of the recovery that goes on")
	}
}

// A fleet is calm at every size.
func TestSizesOfFleets(t *testing.T) {
	f := newFleet(t)
	b := f.browser("otto")
	if _, page := b.get("/"); !strings.Contains(page, "No host has come yet") || !strings.Contains(page, "Add the first host") || strings.Contains(page, "<table") {
		t.Errorf("an empty fleet:\n%s", page)
	}
	const many = 10_000
	f.change(func(tx record.Tx) error {
		for i := range many {
			h := record.Host{ID: hostID(i + 1), Name: fmt.Sprintf("host%05d", i), Group: fmt.Sprintf("group%d", i%7), Created: now, Key: fmt.Sprint("k", i)}
			if err := tx.PutHost(h); err != nil {
				return err
			}
			if i%100 == 0 {
				p := with(good("sles"), func(p *record.Protection) { p.Host = h.ID })
				if _, err := tx.AddReport(record.Report{ID: fmt.Sprint("r", i), Host: h.ID, System: "sles", Kind: "backup", State: "done", Started: now, Ended: now, Received: now}, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
	_, page := b.get("/")
	if n := len(hostsOn(page)); n != rows || !strings.Contains(page, "Page 1 of 200") || !strings.Contains(page, "10,000 hosts") || len(page) > 200_000 {
		t.Errorf("%d hosts on a page of %d bytes", n, len(page))
	}
	// Every page is there once, and the pages hold every host once.
	seen := map[string]bool{}
	for path, pages := "/?group=group3", 0; path != ""; pages++ {
		_, page := b.get(path)
		for _, name := range hostsOn(page) {
			if seen[name] {
				t.Fatalf("%s is there twice", name)
			}
			seen[name] = true
		}
		path = ""
		if m := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(page); m != nil {
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
		if pages > 100 {
			t.Fatal("no end")
		}
	}
	if len(seen) != many/7+1 {
		t.Errorf("%d hosts of the group", len(seen))
	}
	for _, query := range []string{"page=-1", "page=99999", "page=x", "name=" + strings.Repeat("a", 3000)} {
		if status, _ := b.get("/?" + query); status != 200 {
			t.Errorf("%.30s: %d", query, status)
		}
	}
}

// Names of hosts, systems and all that comes from elsewhere cannot do anything.
func TestHostileNames(t *testing.T) {
	names := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`, `{{.}} ${1} <%= 1 %>`,
		"\u202Egnp.exe", "\u2066mixed\u2069\u200F", "a\tb\rc\x7f\x1b[31m", "\uFEFFbom", strings.Repeat("x", 10_000), "</title><h1>", "&lt;b&gt;",
		`../../etc/passwd`, `?a=b#c`, "日本語 ümlaut עברית",
	}
	f := newFleet(t)
	for i, name := range names {
		id := f.add(i+1, name, name, with(good(name), func(p *record.Protection) {
			p.LastState, p.LastError, p.Profile = name, name, name
		}))
		f.change(func(tx record.Tx) error {
			h, err := tx.Host(id)
			if err != nil {
				return err
			}
			h.Identity = record.Identity{Hostname: name, Serial: name, UUID: name, MACs: []string{name}}
			if err := tx.PutHost(h); err != nil {
				return err
			}
			if err := tx.PutRun(record.Run{ID: "r/" + name, Host: id, System: name, Kind: name, State: "running", Started: now, Updated: now}); err != nil {
				return err
			}
			return tx.AddEvents([]record.Event{
				{Run: "r/" + name, Host: id, Seq: 1, Time: now, Data: []byte(`{"type":"step.started","stage":` + quoted(name) + `,"step":` + quoted(name) + `,"title":` + quoted(name) + `}`)},
				{Run: "r/" + name, Host: id, Seq: 2, Time: now, Data: []byte(`{"type":"step.failed","step":` + quoted(name) + `,"error":` + quoted(name) + `,"hint":` + quoted(name) + `}`)},
				{Run: "r/" + name, Host: id, Seq: 3, Time: now, Data: []byte(quoted(name))},
			})
		})
	}
	b := f.browser("anna")
	paths := []string{"/", "/audit", "/desk"}
	for i, name := range names {
		paths = append(paths, hostURL(hostID(i+1)), deskURL(hostID(i+1)), runURL(hostID(i+1), "r/"+name), "/?name="+url.QueryEscape(name), "/desk?name="+url.QueryEscape(name), "/?group="+url.QueryEscape(name))
	}
	fieldValue := regexp.MustCompile(` (value|href|sse-connect)="[^"]*"`)
	for _, path := range paths {
		status, page := b.get(path)
		if status != 200 {
			t.Errorf("%.80s: %d", path, status)
		}
		if strings.Contains(page, `="javascript:`) && !strings.Contains(page, `value="javascript:`) {
			t.Errorf("%.80s has a link that runs", path)
		}
		page = fieldValue.ReplaceAllString(page, "") // what is sent back stays what it is
		for _, bad := range []string{"<script>alert", "<img src=x", "onmouseover='alert", "</title><h1>", "\x1b", "\x7f", "\u202E", "\u2066", "\u200F", "\uFEFF", strings.Repeat("x", 5000)} {
			if strings.Contains(page, bad) {
				t.Errorf("%.80s holds %q", path, bad)
			}
		}
	}
}

func TestLookIsSharedAndRenewed(t *testing.T) {
	at := now
	f := newFleet(t, func(o *Options) { o.Now = func() time.Time { return at } })
	f.add(1, "one", "")
	look := func() int {
		hosts, _, _, err := f.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(hosts)
	}
	if look() != 1 {
		t.Fatal("not one")
	}
	f.change(func(tx record.Tx) error { return tx.PutHost(record.Host{ID: hostID(2), Name: "two", Created: now}) })
	f.overall.at = at // as if nobody had forgotten it
	if look() != 1 {
		t.Error("looked again at once")
	}
	at = at.Add(fresh + time.Second)
	if look() != 2 {
		t.Error("not looked again")
	}
}
