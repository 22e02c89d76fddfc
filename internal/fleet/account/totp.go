package account

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
)

// period is a time step of RFC 6238; the one before and the one after count too.
const period = 30

var codes = totp.ValidateOpts{Period: period, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// NewTOTP makes a secret for one-time passwords; the URL (otpauth://) goes into a QR
// code. It counts only after ConfirmTOTP.
func (a *Accounts) NewTOTP(name, fleet string) (secret, url string, err error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: fleet, AccountName: plain(name), Period: period, SecretSize: 20})
	if err != nil {
		return "", "", fmt.Errorf("one-time passwords for %s: %w", name, err)
	}
	return key.Secret(), key.URL(), nil
}

// ConfirmTOTP switches one-time passwords on for the one who acts, who shows with a
// first one that the secret has arrived. ErrWrong: it is not right. All sessions of
// the user end.
func (a *Accounts) ConfirmTOTP(ctx context.Context, by action.Actor, name, secret, code string) error {
	name = plain(name)
	if by.Name != "user:"+name {
		return action.ErrForbidden
	}
	if !a.names.take(name) {
		return ErrBusy
	}
	if a.identity == nil {
		return errors.New("this server has no key to seal secrets with")
	}
	step := matching(secret, code, a.clock())
	if step == 0 {
		return ErrWrong
	}
	sealed, err := a.sealed(name, secret)
	if err != nil {
		return err
	}
	a.names.forgive(name)
	return a.change(ctx, by, "user.totp", name, "on", func(tx record.Tx, u *record.User) error {
		u.TOTP, u.Step = sealed, step
		return tx.RemoveSessions(name)
	})
}

// RemoveTOTP switches one-time passwords off, as an administrator: of somebody whose
// telephone is lost.
func (a *Accounts) RemoveTOTP(ctx context.Context, by action.Actor, name string) error {
	return a.manage(ctx, by, "user.totp", name, "off", func(tx record.Tx, u *record.User) error {
		u.TOTP = nil
		return tx.RemoveSessions(u.Name)
	})
}

// step is the time step that a code is of, 0 for a wrong one.
func (a *Accounts) step(user record.User, code string) (int64, error) {
	secret, err := a.unsealed(user.Name, user.TOTP)
	if err != nil {
		return 0, err
	}
	return matching(secret, code, a.clock()), nil
}

func matching(secret, code string, now time.Time) (found int64) {
	for _, step := range []int64{now.Unix()/period - 1, now.Unix() / period, now.Unix()/period + 1} {
		want, err := totp.GenerateCodeCustom(secret, time.Unix(step*period, 0), codes)
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			found = step
		}
	}
	return found
}

// sealed is a secret as the database holds it. The name is sealed in, so that no
// other account's secret can be put in its place.
func (a *Accounts) sealed(name, secret string) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, a.identity.Recipient())
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, name+"\n"+secret); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (a *Accounts) unsealed(name string, sealed []byte) (string, error) {
	if a.identity == nil {
		return "", fmt.Errorf("one-time passwords of %s: this server has no key to unseal them", name)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), a.identity)
	if err != nil {
		return "", fmt.Errorf("one-time passwords of %s: %w", name, err)
	}
	b, err := io.ReadAll(io.LimitReader(r, 1024))
	if err != nil {
		return "", fmt.Errorf("one-time passwords of %s: %w", name, err)
	}
	secret, ok := bytes.CutPrefix(b, []byte(name+"\n"))
	if !ok {
		return "", fmt.Errorf("one-time passwords of %s: the secret is another user's", name)
	}
	return string(secret), nil
}
