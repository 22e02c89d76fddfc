package console

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/runbook"
)

// complaints are what the browser says of scripts that failed, and of what the content
// security policy has stopped.
func (f *fleet) complaints(ctx context.Context) func() []string {
	var mu sync.Mutex
	var said []string
	go func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleException || strings.Contains(m.Text, "Content Security Policy") {
				mu.Lock()
				said = append(said, m.Text)
				mu.Unlock()
			}
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return said
	}
}

func textOf(selector string) string {
	return `(document.querySelector("` + selector + `")?.innerText ?? "")`
}

func has(selector, words string) string { return textOf(selector) + `.includes("` + words + `")` }

// An operator signs in with the keyboard alone, finds a lost host, issues a code, and
// watches the recovery live.
func TestStoryOfARecovery(t *testing.T) {
	f := newFleet(t)
	host, run := f.showcase()
	ctx := f.chromium()
	do := func(what string, steps ...step) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	value := func(expression string) string {
		t.Helper()
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		return got
	}
	do("sign in with keys", scheme("light"), f.open("/signin"), pressed("#name", "otto", kb.Tab, "right", kb.Tab, kb.Tab, kb.Enter), f.arrived("/"))
	said := f.complaints(ctx)

	// The first thing that a key reaches is the way past the menu, and it can be seen.
	do("skip the menu", chromedp.KeyEvent(kb.Tab), until("skip", `document.activeElement.className`),
		until(true, `document.activeElement.getBoundingClientRect().top >= 0`), until(true, `getComputedStyle(document.activeElement).outlineStyle !== "none"`),
		chromedp.KeyEvent(kb.Enter), until("#main", `location.hash`))

	// The list follows what is typed, without another page.
	do("filter", f.open("/"), chromedp.Evaluate[chromedp.Void](`window.same = true`), chromedp.SendKeys(css("#name"), "rmt"),
		until("1 host", textOf("#hosts")), until(true, `window.same === true && location.search.includes("name=rmt")`))
	do("filter by state", chromedp.Evaluate[chromedp.Void](`document.querySelector("#name").value = ""; document.querySelector("#state").value = "failing"; document.querySelector("#state").dispatchEvent(new Event("change", {bubbles: true}))`),
		until(true, has("#found", "opsi1.example.com")), until("1 host", textOf("#hosts")))

	// A colour scheme is the system's.
	light := value(`getComputedStyle(document.body).backgroundColor`)
	do("dark", scheme("dark"), until(true, `getComputedStyle(document.body).backgroundColor !== "`+light+`"`), scheme("light"))

	do("find the lost host", f.open("/desk"), chromedp.SendKeys(css("#name"), "sn-0001"), until(true, has("#found", "smt1.example.com")),
		chromedp.Click(css("#found a")), f.arrived(deskURL(host)))
	do("not without being sure", chromedp.Click(css(".sure button")), until(true, `document.querySelector("[name=sure]").matches(":invalid")`), f.arrived(deskURL(host)))
	do("issue a code", chromedp.Click(css("[name=sure]")), chromedp.Click(css(".sure button")), until(true, has("h1", "Recovery code of smt1.example.com")))
	if code := strings.Fields(value(textOf(".groups"))); len(code) < 4 {
		t.Errorf("the code: %q", code)
	}
	f.accessible(ctx, "code", "light", 0)
	// Going back and forth does not show it again.
	do("once", f.open(deskURL(host)), until(true, has("main", "open")), until(false, `!!document.querySelector(".groups")`))

	// The host's page shows a run that begins, step by step to its end, without another page.
	f.add(30, "fresh1.example.com", "")
	fresh := hostID(30)
	do("look at a host", f.open(hostURL(fresh)), until(true, has("#past", "none yet")), chromedp.Evaluate[chromedp.Void](`window.same = true`))
	f.change(func(tx record.Tx) error {
		return tx.PutRun(record.Run{ID: "first", Host: fresh, System: "smt", Kind: "backup", State: "running", Started: ago(time.Minute), Updated: now})
	})
	do("a run begins", until(true, has("#going", "backup of smt")), until(true, has("#past", "running")))
	f.event(fresh, "first", 1, runbook.Event{Type: runbook.RunStarted, Outline: []runbook.Outline{{Name: "capture", Title: "Capture", Steps: []runbook.OutlineStep{{ID: "db", Title: "Database"}, {ID: "ca", Title: "Certificates"}}}}})
	f.event(fresh, "first", 2, runbook.Event{Type: runbook.StepStarted, Stage: "capture", Step: "db"})
	do("its steps", until(true, has("#going", "Certificates")), until(true, has("#going", "now: Database")))
	f.accessible(ctx, "hostlive", "light", 0)
	f.event(fresh, "first", 3, runbook.Event{Type: runbook.StepFinished, Stage: "capture", Step: "db", Seconds: 700})
	do("one is done", until(true, has("#going", "11:40 min")), until(true, has("#standing", "no point")))
	f.change(func(tx record.Tx) error {
		_, err := tx.AddReport(record.Report{ID: "first", Host: fresh, System: "smt", Kind: "backup", State: "done", Started: ago(time.Minute), Ended: now, Point: "8f31c2d0", Bytes: 5 << 30}, with(good("smt"), func(p *record.Protection) { p.Host = fresh }))
		return errors.Join(err, tx.PutRun(record.Run{ID: "first", Host: fresh, System: "smt", Kind: "backup", State: "done", Started: ago(time.Minute), Updated: now}))
	})
	do("the host's end", until(false, has("#going", "backup of smt")), until(true, has("#past", "done")), until(true, `document.querySelector("#past").textContent.includes("8f31c2d0")`),
		until(true, has("#protected", "smt")), until(true, has("#standing", "protected")), until(true, `window.same === true`))

	// Steps appear as they happen, on a page that stays the same.
	do("watch", f.open(runURL(host, run)), until(true, has("#steps", "37 %")), chromedp.Evaluate[chromedp.Void](`window.same = true`))
	f.event(host, run, 16, runbook.Event{Type: runbook.StepProgress, Stage: "restore", Step: "tree", Bytes: 200 << 30, Total: 298 << 30})
	do("progress", until(true, has("#steps", "67 %")))
	f.event(host, run, 17, runbook.Event{Type: runbook.StepLog, Stage: "restore", Step: "tree", Text: "<b>all packages are there</b>"})
	do("log", until(true, has("#log", "<b>all packages are there</b>")))
	f.event(host, run, 18, runbook.Event{Type: runbook.StepFinished, Stage: "restore", Step: "tree", Seconds: 700})
	f.change(func(tx record.Tx) error {
		return tx.PutRun(record.Run{ID: run, Host: host, System: "smt", Kind: "recover", State: "done", Started: ago(720e9), Updated: now})
	})
	do("the end", until(true, has("#state", "done")), until(true, has("#steps", "11:40 min")), until(true, `window.same === true`))

	do("set one-time passwords up", f.open("/account"), chromedp.Click(css("[action='/account/totp'] button")), until(true, `!!document.querySelector(".qr")`))
	f.accessible(ctx, "totp", "light", 0)

	if all := said(); len(all) > 0 {
		t.Errorf("the browser complains: %q", all)
	}
	do("sign out", chromedp.Click(css(".who button")), until(true, has("h1", "Sign in")))
}

// Without scripts all can be read, and forms work.
func TestWithoutScripts(t *testing.T) {
	f := newFleet(t)
	host, run := f.showcase()
	b := f.browser("otto")
	for path, want := range map[string]string{
		"/?name=rmt": "rmt1.example.com", runURL(host, run): "37 % of 298 GiB", "/desk?name=smt": deskURL(host), hostURL(host): "<svg",
	} {
		if _, page := b.get(path); !strings.Contains(page, want) {
			t.Errorf("%s has no %q", path, want)
		}
	}
}

// pressed presses keys one after the other, beginning in a field.
func pressed(field string, keys ...string) step {
	steps := []step{chromedp.Focus(css(field))}
	for _, k := range keys {
		steps = append(steps, chromedp.KeyEvent(k))
	}
	return chromedp.Steps(steps...)
}
