package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
)

// Files of a report in the repository.
const (
	jsonFile = "report.json"
	htmlFile = "report.html"
)

// signedAs is the sort of message that a report is signed as.
const signedAs = "drill report"

// sealed is the file of a report. The signature is over the bytes of the report as
// they stand there.
type sealed struct {
	Report    json.RawMessage `json:"report"`
	Key       []byte          `json:"key"` // public, Ed25519
	Signature []byte          `json:"signature"`
}

// Save keeps a report in the repository, signed with this machine's key.
func Save(ctx context.Context, v *vault.Vault, keeper *head.Keeper, r *Report) (*vault.Report, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	s := sealed{Report: body}
	if s.Signature, s.Key, err = keeper.Sign(signedAs, body); err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	if err := r.HTML(&page, s.Key); err != nil {
		return nil, err
	}
	kept := &vault.Report{Kind: Kind, System: r.System, State: string(r.State), Time: r.Started, Host: r.Hostname, Version: r.Version}
	err = v.SaveReport(ctx, kept, vault.ReportFile{Name: jsonFile, Text: append(text, '\n')}, vault.ReportFile{Name: htmlFile, Text: page.Bytes()})
	return kept, err
}

// Signature says who has signed a report.
type Signature string

// Who may have signed.
const (
	SignedHere   Signature = "this machine"
	SignedOther  Signature = "another machine" // genuine by the key that stands in it
	SignedNobody Signature = "nobody: the signature is wrong"
)

// Kept is a report from the repository.
type Kept struct {
	*Report
	ID        string // of its snapshot
	Signature Signature
	Key       []byte
}

// Load reads a report. It is what others wrote: who signed it is told with it.
func Load(ctx context.Context, v *vault.Vault, keeper *head.Keeper, r *vault.Report) (*Kept, error) {
	text, err := v.ReportText(ctx, r, jsonFile)
	if err != nil {
		return nil, err
	}
	k, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("report %s: %w", r.ID.Short(), err)
	}
	k.ID = r.ID.String()
	if k.Signature == SignedNobody {
		return k, nil
	}
	own, err := keeper.Public()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if bytes.Equal(own, k.Key) {
		k.Signature = SignedHere
	}
	return k, nil
}

func decode(text []byte) (*Kept, error) {
	var s sealed
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	k := &Kept{Report: new(Report), Signature: SignedNobody, Key: s.Key}
	if head.Verify(signedAs, s.Report, s.Signature, s.Key) {
		k.Signature = SignedOther
	}
	if err := json.Unmarshal(s.Report, k.Report); err != nil {
		return nil, err
	}
	if k.Format > Format {
		return nil, fmt.Errorf("it has format %d and this lifeboat reads up to %d: update lifeboat", k.Format, Format)
	}
	return k, nil
}
