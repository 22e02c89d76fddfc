package console

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience with a browser on a machine that does ten other things.
const browserFor = 5 * time.Minute

// chromium opens a tab in Debian's browser.
func (f *fleet) chromium() context.Context {
	f.t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		f.t.Skip("needs chromium: looks at the console as people do")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.IgnoreCertErrors, chromedp.UserDataDir(f.t.TempDir()),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(browserFor))
	ctx, cancel := context.WithTimeout(context.Background(), browserFor)
	f.t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	f.t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx, chromedp.WithErrorf(f.t.Logf))
	f.t.Cleanup(end)
	return ctx
}

// signInWith goes through the sign-in page.
func (f *fleet) signInWith(name string) step {
	return chromedp.Steps(
		f.open("/signin"),
		chromedp.SendKeys(css("#name"), name), chromedp.SendKeys(css("#password"), "right\r"),
		f.arrived("/"),
	)
}

// open goes to a page and waits until it is there.
func (f *fleet) open(path string) step {
	return chromedp.Steps(chromedp.Navigate(f.server.URL+path), f.arrived(path))
}

// arrived waits until the browser is at a page that is whole. Meanwhile there may be
// no page at all.
func (f *fleet) arrived(path string) step {
	return until("complete "+f.server.URL+path, `document.readyState + " " + location.href`)
}

// until waits until an expression has a value, whatever happens to the page.
func until[T comparable](want T, expression string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for {
			got, err := chromedp.Evaluate[T](expression)(ctx, t)
			if err == nil && got == want {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is %v, not %v: %w", expression, got, want, errors.Join(err, ctx.Err()))
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// step is one thing that a person does.
type step = chromedp.Action[chromedp.Void]

func css(s string) chromedp.CSS { return chromedp.CSS(s) }

func scheme(name string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
		return err
	})
}

//go:embed testdata/axe.min.js
var axe string

var shots = flag.String("shots", "", "directory for pictures of all pages")

// violation is what axe-core finds wrong with a page.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// TestPagesAreAccessible has axe-core look at every page: names of controls,
// contrast, landmarks, headings, tables, languages; in both colours and widths.
func TestPagesAreAccessible(t *testing.T) {
	f := newFleet(t)
	host, run := f.showcase()
	ctx := f.chromium()
	pages := []struct{ name, path string }{
		{"glance", "/"},
		{"filtered", "/?state=late"},
		{"nothing", "/?name=zzz"},
		{"host", hostURL(host)},
		{"run", runURL(host, run)},
		{"configuration", versionURL(host, 2)},
		{"diff", versionURL(host, 2) + "?against=1"},
		{"desk", "/desk?name=smt"},
		{"deskhost", deskURL(host)},
		{"audit", "/audit"},
		{"add", "/hosts"},
		{"missing", "/nothing"},
		{"people", "/people"},
		{"person", "/people/otto"},
		{"account", "/account"},
	}
	type window struct {
		color string
		width int64
	}
	windows := []window{{"light", 1280}, {"dark", 390}}
	if *shots != "" {
		windows = append(windows, window{"light", 390}, window{"dark", 1280})
	}
	for _, in := range windows {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(in.width, 844), scheme(in.color), f.open("/assets/none")); err != nil {
			t.Fatal(err)
		}
		if in.width == 1280 && in.color == "light" {
			if err := chromedp.Do(ctx, f.open("/signin")); err != nil {
				t.Fatal(err)
			}
			f.accessible(ctx, "signin", in.color, in.width)
			if err := chromedp.Do(ctx, f.signInWith("anna")); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range pages {
			if err := chromedp.Do(ctx, f.open(p.path)); err != nil {
				t.Fatal(err)
			}
			f.accessible(ctx, p.name, in.color, in.width)
		}
	}
}

// accessible has axe-core look at the page that is open, sees that nothing of it is
// beyond the window, and takes a picture if pictures are wanted.
func (f *fleet) accessible(ctx context.Context, name, color string, width int64) {
	f.t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void](axe+";undefined")); err != nil {
		f.t.Fatalf("%s: load axe: %v", name, err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]violation](`axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => r.violations)`, chromedp.EvalAwaitPromise, chromedp.EvalAsValue))
	if err != nil {
		f.t.Fatalf("%s: run axe: %v", name, err)
	}
	for _, v := range found {
		for _, n := range v.Nodes {
			f.t.Errorf("%s, %s, %d wide: %s (%s)\n%s\n%s", name, color, width, v.Help, v.ID, n.HTML, n.Summary)
		}
	}
	over, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
	if err != nil {
		f.t.Fatal(err)
	}
	if over > 0 {
		f.t.Errorf("%s is %d wider than a window of %d", name, over, width)
	}
	if *shots == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, fmt.Sprintf("%s-%s-%d.png", name, color, width)), png, 0o600); err != nil {
		f.t.Fatal(err)
	}
}
