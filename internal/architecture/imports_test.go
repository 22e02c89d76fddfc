package architecture

import (
	"strings"
	"testing"
)

// layers lists the rooms from the top to the bottom. A room uses rooms of its
// own layer and of those below, never of those above.
var layers = [][]string{
	{"cli"},
	{"routine", "notice", "kit", "fleet", "rescue", "upgrade", "changelog"},
	{"drill"},
	{"recovery", "backup"},
	{"product", "vault", "component", "runbook", "guard"},
	{"profile", "config", "repository", "sandbox", "mysqld", "postgresd", "zypper", "apt"},
	{"excerpt", "host", "nfs", "scratch", "storage", "strict"},
}

// tools are rooms of the workshop. No product room uses them.
var tools = map[string]bool{"lab": true, "bench": true, "testreport": true, "architecture": true}

// strangers lists rooms that must not know of others although these lie
// in their layer or below.
var strangers = map[string][]string{
	"runbook":    {"profile", "config", "repository", "storage", "vault", "component", "product", "guard"},
	"repository": {"profile", "config", "sandbox", "mysqld", "postgresd"},
	"profile":    {"repository", "sandbox", "mysqld", "postgresd", "config"},
	"component":  {"vault", "guard"},
	"vault":      {"product", "guard"},
	"guard":      {"vault", "product", "component"},
	"recovery":   {"backup"},
	"scratch":    {"host", "storage", "strict"},
	"storage":    {"host", "strict"},
	"host":       {"storage", "strict"},
	"strict":     {"host", "storage"},
}

// shared are the parts of internal/component that its kinds may use. Several
// kinds are files with something more; otherwise a kind never uses another kind.
var shared = map[string]bool{
	"internal/component":          true,
	"internal/component/aside":    true,
	"internal/component/boundary": true,
	"internal/component/files":    true,
	"internal/component/journal":  true,
}

// withoutPrograms must reach the machine through package host alone.
var withoutPrograms = []string{
	"internal/component", "internal/recovery", "internal/backup", "internal/vault",
	"internal/profile", "internal/product", "internal/runbook", "internal/repository",
}

func layer(room string) int {
	for i, rooms := range layers {
		for _, r := range rooms {
			if r == room {
				return i
			}
		}
	}
	return -1
}

func TestEveryRoomHasALayer(t *testing.T) {
	seen := map[string]string{}
	for _, f := range load(t) {
		if r := room(f.dir()); r != "" && f.syntax != nil {
			seen[r] = f.name
		}
	}
	for _, r := range sorted(seen) {
		if layer(r) < 0 && !tools[r] {
			t.Errorf("%s: the room %q has no layer; give it one in docs/architecture.md and here", seen[r], r)
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range load(t) {
		// A test may look up: a room's test uses what it is made for.
		if f.isTest() {
			continue
		}
		from := room(f.dir())
		for _, p := range f.imports {
			dir, ok := own(p)
			if !ok {
				continue
			}
			to := room(dir)
			switch {
			case to == "":
				if dir != "profiles" {
					t.Errorf("%s imports %s: programs are not to be imported", f.name, p)
				}
			case to == "cli":
				if f.dir() != "cmd/lifeboat" && from != "cli" {
					t.Errorf("%s imports %s: only cmd/lifeboat may", f.name, p)
				}
			case from == "" || tools[from] || from == to:
			case tools[to]:
				t.Errorf("%s imports %s: the product must not use the workshop", f.name, p)
			case layer(to) < layer(from):
				t.Errorf("%s imports %s: that points up", f.name, p)
			}
			for _, stranger := range strangers[from] {
				if to == stranger {
					t.Errorf("%s imports %s: %s knows nothing of %s", f.name, p, from, to)
				}
			}
		}
	}
}

func TestKindsAreStrangersToEachOther(t *testing.T) {
	const kinds = "internal/component/"
	for _, f := range load(t) {
		if f.isTest() || !strings.HasPrefix(f.name, kinds) {
			continue
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(f.dir(), kinds), "/")
		for _, p := range f.imports {
			dir, ok := own(p)
			if !ok || shared[dir] || !strings.HasPrefix(dir, kinds) {
				continue
			}
			if dir != kinds+kind && !strings.HasPrefix(dir, kinds+kind+"/") {
				t.Errorf("%s imports %s: kinds do not use each other", f.name, p)
			}
		}
	}
}

// What one product needs stays out of everything but the program itself.
func TestProductsAreKnownToTheFaceOnly(t *testing.T) {
	for _, f := range load(t) {
		for _, p := range f.imports {
			if dir, ok := own(p); ok && strings.HasPrefix(dir, "internal/product/") && !f.isTest() {
				if from := room(f.dir()); from != "cli" && from != "product" && !tools[from] {
					t.Errorf("%s imports %s: products come by registry", f.name, p)
				}
			}
		}
	}
}

func TestProgramsAreStartedByHost(t *testing.T) {
	for _, f := range load(t) {
		if f.isTest() || f.syntax == nil {
			continue
		}
		for _, dir := range withoutPrograms {
			if f.dir() != dir && !strings.HasPrefix(f.dir(), dir+"/") {
				continue
			}
			for _, p := range f.imports {
				if p == "os/exec" {
					t.Errorf("%s imports os/exec: this room acts through package host", f.name)
				}
			}
		}
	}
}

// The client program builds where nothing that acts on a machine does; `make lint` builds
// it for Windows.
func TestTheDeskKnowsNoMachine(t *testing.T) {
	dirs, _ := linked(load(t), "internal/cli/remote")
	for _, dir := range sorted(dirs) {
		switch dir {
		case "internal/cli/remote", "internal/cli/screen", "internal/excerpt",
			"internal/fleet/client", "internal/fleet/rear", "internal/fleet/record", "internal/fleet/secret", "internal/fleet/standing", "internal/fleet/wire",
			"internal/kit/typed", "internal/rescue/configuration", "internal/runbook/ending", "internal/storage/redact":
		default:
			t.Errorf("internal/cli/remote links %s, which may not build for Windows", dir)
		}
	}
}

func TestWhatIsLinked(t *testing.T) {
	files := load(t)
	dirs, foreign := linked(files, "cmd/lifeboat")
	for _, dir := range sorted(dirs) {
		if tools[room(dir)] {
			t.Errorf("lifeboat links %s, which belongs to the workshop", dir)
		}
		if isTestDir(dir) {
			t.Errorf("lifeboat links %s, which is for tests", dir)
		}
	}
	for _, p := range sorted(foreign) {
		if p == "testing" || strings.HasPrefix(p, "testing/") || p == "C" {
			t.Errorf("lifeboat links %q by %s", p, foreign[p])
		}
	}
	dirs, _ = linked(files, "cmd/lab")
	if dirs["internal/cli"] {
		t.Error("lab links internal/cli")
	}
}
