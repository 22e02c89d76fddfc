package agent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"filippo.io/age"

	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
)

// Seal makes of a recovery configuration what is sent: the secret half encrypted for
// the fleet, so that no database and no disk on the way ever has it open.
func (a *Agent) Seal(open *configuration.Open, secret *configuration.Secret) (*wire.Configuration, error) {
	open.Format, secret.Format, secret.Host = configuration.Format, configuration.Format, a.Host
	text, err := open.Encode()
	if err != nil {
		return nil, err
	}
	c := &wire.Configuration{Open: text}
	if len(secret.Passwords)+len(secret.Environment)+len(secret.Files) == 0 {
		return c, nil
	}
	recipient, err := age.ParseX25519Recipient(a.Fleet.Recipient)
	if err != nil {
		return nil, fmt.Errorf("whom the fleet's secrets are for: %w", err)
	}
	if c.Secret, err = secret.Seal(recipient); err != nil {
		return nil, err
	}
	key, err := a.digestKey()
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(secret) // maps are written in the order of their keys
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	sum := hmac.New(sha256.New, key)
	sum.Write(plain)
	sum.Write([]byte(a.Fleet.Recipient))
	c.SecretDigest = hex.EncodeToString(sum.Sum(nil))
	return c, nil
}
