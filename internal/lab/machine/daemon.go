package machine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Daemon is a program that stays.
type Daemon struct {
	Command *exec.Cmd
	Log     string      // where its output goes
	Mode    os.FileMode // of the log
	Owner   string      // of the log, user:group; "" is root's
	Answers func() bool // tells whether it does its work
}

// Start starts the daemon, and waits until it answers or has ended.
func (d Daemon) Start() error {
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, d.Mode)
	if err != nil {
		return err
	}
	defer log.Close()
	if d.Owner != "" {
		if err := Own(d.Owner, d.Log); err != nil {
			return err
		}
	}
	name := d.Command.Args[0]
	d.Command.Dir, d.Command.Stdout, d.Command.Stderr = "/", log, log
	d.Command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := d.Command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Command.Wait() }()
	for range 3000 {
		select {
		case err := <-ended:
			return fmt.Errorf("%s ended (%v), see %s: %s", name, err, d.Log, lastLine(d.Log))
		case <-time.After(10 * time.Millisecond):
		}
		if d.Answers() {
			return nil
		}
	}
	return fmt.Errorf("%s does not answer, see %s", name, d.Log)
}

func lastLine(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return lines[len(lines)-1]
}

// Listens tells whether something takes connections at a port of this machine.
func Listens(port string) bool {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// Trusting is a client of a server on this machine that trusts one authority, in
// PEM, whatever name the server goes by.
func Trusting(authority, port string) (*http.Client, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(authority)) {
		return nil, errors.New("no CA")
	}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}}, nil
}

// Part reads a product's own part of the spec.
func Part[T any](m *Machine) (part T, err error) {
	if err := json.Unmarshal(m.Spec.Product, &part); err != nil {
		return part, fmt.Errorf("read %s's part of the spec: %w", m.Spec.Plays, err)
	}
	return part, nil
}

// MustPart is for doubles: the part was read already when the product was plugged in.
func MustPart[T any](m *Machine) T {
	part, err := Part[T](m)
	if err != nil {
		panic(err)
	}
	return part
}
