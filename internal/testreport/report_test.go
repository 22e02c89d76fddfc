package testreport

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// events builds a stream as go test -json prints it.
func events(lines ...string) *strings.Reader {
	return strings.NewReader(strings.Join(lines, "\n") + "\n")
}

func TestCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		stream []string
		want   string
		failed bool
	}{
		{
			"a test with subtests is counted through them",
			[]string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestA/x"}`,
				`{"Action":"run","Package":"p","Test":"TestA/x/y"}`,
				`{"Action":"pass","Package":"p","Test":"TestA/x/y"}`,
				`{"Action":"pass","Package":"p","Test":"TestA/x"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"pass","Package":"p"}`,
			},
			"\n1 passed, 0 failed, 0 skipped\n", false,
		},
		{
			"a failed subtest is one failure",
			[]string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestA/x"}`,
				`{"Action":"output","Package":"p","Test":"TestA/x","Output":"    a_test.go:3: broken\n"}`,
				`{"Action":"fail","Package":"p","Test":"TestA/x"}`,
				`{"Action":"fail","Package":"p","Test":"TestA"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			"     FAILED TestA/x\n        a_test.go:3: broken\n\nFAILED p TestA/x\n        a_test.go:3: broken\n\nFailed:\n  p TestA/x\n\n0 passed, 1 failed, 0 skipped\n", true,
		},
		{
			"a parent that fails by itself counts",
			[]string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestA/x"}`,
				`{"Action":"pass","Package":"p","Test":"TestA/x"}`,
				`{"Action":"fail","Package":"p","Test":"TestA"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			"\n1 passed, 1 failed, 0 skipped\n", true,
		},
		{
			"a package that dies with a test running",
			[]string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestB"}`,
				`{"Action":"output","Package":"p","Output":"panic: test timed out\n"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			"FAILED p TestB\n    panic: test timed out\n\nFailed:\n  p TestB\n\n1 passed, 1 failed, 0 skipped\n", true,
		},
		{
			"a line that is no event is passed on",
			[]string{"go: downloading example.org/x v1.0.0"},
			"go: downloading example.org/x v1.0.0\n\n0 passed, 0 failed, 0 skipped\n", false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			r := New(&out, "")
			if err := r.Read(events(c.stream...)); err != nil {
				t.Fatal(err)
			}
			r.Summarize()
			if !strings.HasSuffix(out.String(), c.want) {
				t.Errorf("printed:\n%s\nwant at the end:\n%s", out.String(), c.want)
			}
			if r.Failed() != c.failed {
				t.Errorf("Failed() = %v", r.Failed())
			}
		})
	}
}

// The stream of the real go command, as its format may change with Go.
func TestRealGoTest(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command in PATH")
	}
	dir := t.TempDir()
	for name, source := range map[string]string{
		"go.mod":            "module example.org/sample\n\ngo 1.26\n",
		"bare/bare.go":      "package bare\n",
		"broken/b_test.go":  "package broken\n\nvar x int = \"word\"\n",
		"crash/c_test.go":   "package crash\n\nimport \"testing\"\n\nfunc TestCrash(t *testing.T) { panic(\"sudden end\") }\n",
		"mixed/mix_test.go": "package mixed\n\nimport \"testing\"\n\nfunc TestGood(t *testing.T) {}\nfunc TestBad(t *testing.T) { t.Log(\"before\"); t.Error(\"it broke\") }\nfunc TestRoot(t *testing.T) {\n\tt.Run(\"sub\", func(t *testing.T) { t.Log(\"noise\"); t.Skip(\"needs root: mounts a file system\") })\n}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(goTool, "test", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	stream, _ := cmd.Output() // the packages fail on purpose
	var out bytes.Buffer
	r := New(&out, "")
	if err := r.Read(bytes.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	r.Summarize()
	for _, want := range []string{
		"FAILED example.org/sample/mixed TestBad\n",
		"it broke",
		"sudden end",
		"cannot use \"word\"",
		"Packages without tests: example.org/sample/bare\n",
		"  example.org/sample/mixed  TestRoot/sub  needs root: mounts a file system\n",
		"\n1 passed, 3 failed, 1 skipped\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestReason(t *testing.T) {
	for output, want := range map[string]string{
		"": "(no reason given)",
		"=== RUN   TestX\n    x_test.go:9: needs root\n--- SKIP: TestX (0.00s)\n":         "needs root",
		"    a_test.go:1: one thing\n    a_test.go:2: needs restic\n        in PATH\n":    "needs restic in PATH",
		"    a_test.go:1: \n        needs restic\n":                                       "needs restic",
		"    cmd.go:380: needs root\n    testscript.go:609: WORK=$WORK\n        > skip\n": "needs root",
		"plain words\n": "(no reason given)",
	} {
		if got := reason(output); got != want {
			t.Errorf("reason(%q) = %q, want %q", output, got, want)
		}
	}
}

func TestTargets(t *testing.T) {
	got, err := Targets(fstest.MapFS{
		"internal/index/index_test.go":       {Data: []byte("package index\n\nfunc FuzzIndex(f *testing.F) {}\nfunc FuzzPack(t *testing.F) {}\n")},
		"internal/index/index.go":            {Data: []byte("func FuzzNot(f *testing.F) {}")},
		"internal/index/testdata/x_test.go":  {Data: []byte("func FuzzNot(f *testing.F) {}")},
		".git/x_test.go":                     {Data: []byte("func FuzzNot(f *testing.F) {}")},
		"internal/other/comment_test.go":     {Data: []byte("// func FuzzNot(f *testing.F) {}")},
		"internal/other/lower_case_test.txt": {Data: []byte("func FuzzNot(f *testing.F) {}")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Target{{"./internal/index", "FuzzIndex"}, {"./internal/index", "FuzzPack"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("Targets = %v, want %v", got, want)
	}
}

func TestDeadlineIsTheEngines(t *testing.T) {
	for _, c := range []struct {
		output string
		want   bool
	}{
		{`    context deadline exceeded\n`, true},
		{`    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzX/1\n`, false},
		{`    index out of range\n`, false},
	} {
		r := New(&bytes.Buffer{}, "")
		err := r.Read(events(
			`{"Action":"run","Package":"p","Test":"FuzzX"}`,
			`{"Action":"output","Package":"p","Test":"FuzzX","Output":"`+c.output+`"}`,
			`{"Action":"fail","Package":"p","Test":"FuzzX"}`,
			`{"Action":"fail","Package":"p"}`,
		))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Deadline(); got != c.want {
			t.Errorf("Deadline() after %q = %v", c.output, got)
		}
	}
}
