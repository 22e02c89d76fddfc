package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/limit"
	"lifeboat/internal/storage/stall"
)

// Options says how a host is reached and how we prove who we are. The files of
// OpenSSH's configuration (ssh_config) are not read.
type Options struct {
	storage.Options
	// Stall is the least progress of a transfer; stall.Default if not set.
	Stall stall.Limit
	// Limit bounds what all connections transfer together; nil for no bound.
	Limit *limit.Limit

	// KeyFile is the only private key used; empty takes the agent of
	// SSH_AUTH_SOCK, then id_ed25519, id_ecdsa and id_rsa in ~/.ssh.
	KeyFile string
	// Passphrase opens KeyFile where it is locked. Nil if it is not.
	Passphrase func(context.Context) ([]byte, error)
	// Password logs in where no key is taken. Nil takes PasswordVariable from
	// the environment, if it is set.
	Password func(context.Context) ([]byte, error)
	// KnownHosts are files of host keys; empty takes ~/.ssh/known_hosts and
	// /etc/ssh/ssh_known_hosts. A host that is in none of them is refused.
	KnownHosts []string
}

// PasswordVariable holds the password of the login, where keys cannot be used.
const PasswordVariable = "LIFEBOAT_SFTP_PASSWORD"

// defaultKeys are tried in this order, as ssh does.
var defaultKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa"}

// login is what a connection is made with.
type login struct {
	user    string
	methods []ssh.AuthMethod
	close   func()
}

func (o Options) login(ctx context.Context, name string) (login, error) {
	l := login{user: name, close: func() {}}
	if l.user == "" {
		me, err := user.Current()
		if err != nil {
			return l, fmt.Errorf("the user to log in as: %w", err)
		}
		l.user = me.Username
	}
	signers, err := o.signers(ctx, &l)
	if err != nil {
		l.close()
		return l, err
	}
	if len(signers) > 0 {
		l.methods = append(l.methods, ssh.PublicKeys(signers...))
	}
	password := o.Password
	if password == nil && os.Getenv(PasswordVariable) != "" {
		password = func(context.Context) ([]byte, error) { return []byte(os.Getenv(PasswordVariable)), nil }
	}
	if password != nil {
		ask := func() (string, error) {
			text, err := password(ctx)
			if err != nil {
				return "", fmt.Errorf("password of %s: %w", l.user, err)
			}
			return string(text), nil
		}
		l.methods = append(l.methods, ssh.PasswordCallback(ask), ssh.KeyboardInteractive(answerPassword(ask)))
	}
	if len(l.methods) == 0 {
		l.close()
		return l, fmt.Errorf("%w: there is no key to log in with; name a key file, start an agent, or make ~/.ssh/id_ed25519", fs.ErrPermission)
	}
	return l, nil
}

// answerPassword answers the one hidden question that servers with PAM ask.
func answerPassword(ask func() (string, error)) ssh.KeyboardInteractiveChallenge {
	return func(_, _ string, questions []string, echos []bool) ([]string, error) {
		if len(questions) == 0 {
			return nil, nil
		}
		if len(questions) != 1 || echos[0] {
			return nil, errors.New("the server asks for more than a password")
		}
		text, err := ask()
		return []string{text}, err
	}
}

func (o Options) signers(ctx context.Context, l *login) ([]ssh.Signer, error) {
	if o.KeyFile != "" {
		signer, err := o.key(ctx, o.KeyFile)
		if err != nil {
			return nil, err
		}
		return []ssh.Signer{signer}, nil
	}
	var signers []ssh.Signer
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		// An agent that is gone is no reason not to try the files.
		if conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket); err == nil {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			l.close = func() { stop(); conn.Close() }
			if held, err := agent.NewClient(conn).Signers(); err == nil {
				signers = held
			}
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return signers, nil
	}
	for _, name := range defaultKeys {
		file := filepath.Join(home, ".ssh", name)
		signer, err := o.key(ctx, file)
		var locked *ssh.PassphraseMissingError
		switch {
		case err == nil:
			signers = append(signers, signer)
		case errors.Is(err, fs.ErrNotExist), errors.As(err, &locked):
		default:
			return nil, err
		}
	}
	return signers, nil
}

func (o Options) key(ctx context.Context, file string) (ssh.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("key to log in with: %w", err)
	}
	defer clear(text)
	signer, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) && o.Passphrase != nil {
		var passphrase []byte
		if passphrase, err = o.Passphrase(ctx); err == nil {
			signer, err = ssh.ParsePrivateKeyWithPassphrase(text, passphrase)
			clear(passphrase)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key to log in with, %s: %w", file, err)
	}
	return signer, nil
}
