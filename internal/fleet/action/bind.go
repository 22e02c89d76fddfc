package action

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/audit"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
)

// ErrOtherFleet says that records and keys are not of one fleet.
var ErrOtherFleet = errors.New("these records belong to another fleet than these keys")

// boundTo is the setting that says whose records these are.
const boundTo = "fleet.keys"

// bound are the public halves of a fleet's keys.
type bound struct {
	Authority string `json:"authority"`
	Signing   string `json:"signing"`
	Recipient string `json:"recipient"`
}

// differences says in what two fleets differ.
func differences(records, given bound) string {
	var all []string
	for _, part := range []struct{ what, prefix, records, given string }{
		{"the authority (authority.pem)", "sha256:", records.Authority, given.Authority},
		{"the signing key (signing.key)", "", records.Signing, given.Signing},
		{"whom secrets are sealed for (age.key)", "", records.Recipient, given.Recipient},
	} {
		if part.records != part.given {
			all = append(all, fmt.Sprintf("%s is %s%s in the records and %s%s here", part.what, part.prefix, excerpt.Line(part.records, 80), part.prefix, part.given))
		}
	}
	return strings.Join(all, "; ")
}

// Bind makes sure that records and keys are of one fleet, and remembers whose records
// they are; ErrOtherFleet otherwise, and nothing was changed. With other keys no host
// would be let in, no code could be made, and the audit log's end would be signed by
// nobody who was known before.
func (d *Desk) Bind(ctx context.Context) error {
	own := bound{keys.Fingerprint(d.Keys.Authority), d.Keys.SigningKey(), d.Keys.Recipient()}
	text, err := json.Marshal(own)
	if err != nil {
		return err
	}
	return d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		kept, err := tx.Setting(boundTo)
		switch {
		case err == nil:
			var other bound
			if err := json.Unmarshal(kept, &other); err != nil {
				return nil, fmt.Errorf("whose records these are: %w", err)
			}
			if other != own {
				return nil, fmt.Errorf("%w: %s", ErrOtherFleet, differences(other, own))
			}
			return nil, nil
		case !errors.Is(err, record.ErrNotFound):
			return nil, err
		}
		head, err := tx.AuditHead()
		if err != nil && !errors.Is(err, record.ErrNotFound) {
			return nil, err
		}
		public, _ := d.Keys.Signing.Public().(ed25519.PublicKey)
		if len(head.Signature) > 0 && !audit.Signed(head, public) {
			return nil, fmt.Errorf("%w: another key has signed the audit log; the keys are those of the authority sha256:%s with the signing key %s", ErrOtherFleet, own.Authority, own.Signing)
		}
		return nil, tx.PutSetting(boundTo, text)
	})
}
