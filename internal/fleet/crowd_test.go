package fleet

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store/postgrestest"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/identity"
	"lifeboat/internal/rescue/source"
)

// lost is a host of the crowd: its one card, and the code that somebody reads out.
type lost struct {
	id   record.HostID
	name string
	me   record.Identity
	code typed.Code
}

func (l lost) password() string { return "password of " + l.name }

// A whole computer centre is recovered at once: each machine gets its own
// configuration and its own secrets, with every signature verified.
func TestCrowd(t *testing.T) {
	p := start(t, roomy)
	p.recover(t, p.lose(t, 300), func(int) string { return p.url }, func() {})
}

// The same with two servers, one of which is cut off in the middle of its answers.
func TestCrowdLosesServer(t *testing.T) {
	f := newFleet(t)
	database := postgrestest.Start(t).Database(t)
	cut, kill := context.WithCancel(context.Background())
	defer kill()
	one, other := f.serve(t, database, roomy), f.serve(t, database, func(o *Options) { roomy(o); o.Cut = cut })
	one.recover(t, one.lose(t, 100),
		func(try int) string { return []string{one.url, other.url}[try%2] },
		sync.OnceFunc(func() { kill(); go other.stop() }))
	other.stop()
}

// Hosts report to two servers, one of which is cut off meanwhile: what was accepted is
// there, and what was sent twice is there once.
func TestReportsLoseServer(t *testing.T) {
	const hosts, each = 20, 10
	f := newFleet(t)
	database := postgrestest.Start(t).Database(t)
	cut, kill := context.WithCancel(context.Background())
	defer kill()
	one, other := f.serve(t, database, nil), f.serve(t, database, func(o *Options) { o.Cut = cut })
	halfway := sync.OnceFunc(func() { kill(); go other.stop() })
	var all sync.WaitGroup
	var through atomic.Int64
	for n := range hosts {
		a := one.join(t, wire.NewHost{Name: fmt.Sprintf("host%03d", n)})
		first, second := other.hostClient(t, a), one.hostClient(t, a)
		all.Go(func() {
			for run := range each {
				path, r := fmt.Sprintf("/agent/reports/run-%d", run), report("", time.Now()).RunReport
				var taken, again wire.Receipt
				err := first.Do(context.Background(), http.MethodPut, path, r, &taken)
				e := second.Do(context.Background(), http.MethodPut, path, r, &again)
				for try := 0; e != nil && try < 300; try++ { // as a host's next run does
					time.Sleep(100 * time.Millisecond)
					e = second.Do(context.Background(), http.MethodPut, path, r, &again)
				}
				if e != nil {
					t.Errorf("host %d, run %d: %v", n, run, e)
				}
				if err == nil && (!taken.New || again.New) {
					t.Errorf("host %d, run %d: %+v, then %+v", n, run, taken, again)
				}
				if through.Add(1) == hosts*each/2 {
					halfway()
				}
			}
		})
	}
	all.Wait()
	other.stop()
	for n := range hosts {
		path := fmt.Sprintf("/hosts/host%03d/", n)
		if l := ask[wire.List[record.Report]](t, one.administrator, http.MethodGet, path+"reports", nil); len(l.Items) != each {
			t.Errorf("host %d has %d reports", n, len(l.Items))
		}
		if l := ask[wire.List[record.Run]](t, one.administrator, http.MethodGet, path+"runs", nil); len(l.Items) != each {
			t.Errorf("host %d has %d runs", n, len(l.Items))
		}
	}
}

// roomy lets all come from one address, as behind one router, as often as they like.
func roomy(o *Options) { o.Limits = api.Limits{Recoveries: 1e6, RecoveryBurst: 1e6} }

// lose adds a crowd to the fleet, as it stands after everybody's last backup.
func (p *place) lose(t *testing.T, count int) []lost {
	t.Helper()
	ctx := context.Background()
	hosts := make([]lost, count)
	err := p.Desk.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		for n := range hosts {
			name := fmt.Sprintf("host%03d", n)
			sum := sha256.Sum256([]byte(name))
			l := lost{
				id: record.HostID(hex.EncodeToString(sum[:16])), name: name,
				me: record.Identity{MACs: []string{fmt.Sprintf("52:54:00:00:%02x:%02x", n>>8, n&255)}},
			}
			hosts[n] = l
			if err := tx.PutHost(record.Host{ID: l.id, Name: name, Identity: l.me, Created: time.Now(), Key: name, Joined: time.Now()}); err != nil {
				return nil, err
			}
			open, err := (&configuration.Open{
				Format: configuration.Format, Identity: l.me,
				Systems:      []configuration.System{{Name: "smt", Profile: "smt", Repositories: []string{"main"}}},
				Repositories: []configuration.Repository{{Name: "main", Location: "/backup/" + name}},
			}).Encode()
			if err != nil {
				return nil, err
			}
			secret, err := (&configuration.Secret{Format: configuration.Format, Host: l.id, Passwords: map[string]string{"main": l.password()}}).Seal(p.Desk.Keys.Age.Recipient())
			if err != nil {
				return nil, err
			}
			if _, err := tx.AddVersion(record.Version{Host: l.id, Created: time.Now(), Digest: name, Open: open, Secret: secret, Report: "run"}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for n, l := range hosts {
		issued, err := p.Desk.IssueCode(ctx, action.Actor{Name: "user:anna", Role: record.Operator}, l.name)
		if err == nil {
			hosts[n].code, err = typed.ParseCode(issued.Code)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return hosts
}

// recover fetches for all at once. Each asks the server that where says at its first
// try, its second and so on; halfway is called when every second one is through.
func (p *place) recover(t *testing.T, hosts []lost, where func(try int) string, halfway func()) {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, p.Desk.Keys.AuthorityPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var through atomic.Int64
	for n, l := range hosts {
		all.Go(func() {
			got, err := p.fetchAs(l, ca, n, where)
			if through.Add(1) == int64(len(hosts)/2) {
				halfway()
			}
			switch {
			case err != nil:
				t.Errorf("%s: %v", l.name, err)
			case got.Host != l.id || got.HostName != l.name || got.Secret.Passwords["main"] != l.password() || !slices.Equal(got.Shared, []string{"mac"}):
				t.Errorf("%s got what is of %s, by %v", l.name, got.HostName, got.Shared)
			}
		})
	}
	all.Wait()

	// Each code was spent, once, and all of it is in the log.
	spent := map[string]int{}
	err := p.Desk.Store.Read(context.Background(), func(r record.Reader) error {
		for after := int64(0); ; {
			entries, err := r.Audit(after, 500)
			if err != nil || len(entries) == 0 {
				return err
			}
			for _, e := range entries {
				if e.Action == "code.spend" {
					spent[e.Object]++
				}
				after = e.Number
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range hosts {
		if spent[l.name] != 1 {
			t.Errorf("the code of %s was spent %d times", l.name, spent[l.name])
		}
	}
	if state := ask[wire.AuditState](t, p.administrator, http.MethodGet, "/audit/verification", nil); !state.Whole {
		t.Errorf("%+v", state)
	}
}

// fetchAs is what a machine with nothing but a medium does.
func (p *place) fetchAs(l lost, ca string, n int, where func(try int) string) (*rescue.Fetched, error) {
	client, err := source.NewClient(ca)
	if err != nil {
		return nil, err
	}
	client.Limit = time.Hour // a busy test machine is no attack
	return rescue.Fetch(context.Background(), rescue.Options{
		Machine: func() (identity.Machine, error) { return identity.Machine{Identity: l.me}, nil },
		Place: func(context.Context, identity.Machine) (string, string, error) {
			n++
			return where(n), "the medium", nil
		},
		Client: client, Keys: []ed25519.PublicKey{p.Desk.SigningKeys()[0]}, Patience: time.Hour, Tell: func(rescue.Event) {},
		Code: func(_ context.Context, wrong error) (typed.Code, error) { return l.code, wrong },
	})
}
