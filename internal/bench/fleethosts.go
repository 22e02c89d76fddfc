package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
)

// member is one host of the fleet that is measured.
type member struct {
	host        record.Host
	certificate tls.Certificate
	// configuration is as the host sends it.
	configuration wire.Configuration
}

// makeMembers makes hosts as if they had joined: keys of their own, certified by the
// fleet, and configurations of which no two are the same.
func makeMembers(k *keys.Keys, count int) ([]member, error) {
	now := time.Now()
	members := make([]member, count)
	for n := range members {
		m := &members[n]
		m.host = record.Host{
			ID: record.HostID(nonce()), Name: fmt.Sprintf("host%05d.example.com", n), Group: "bench", Created: now, Joined: now,
			Identity: record.Identity{
				Hostname: fmt.Sprintf("host%05d", n), Serial: fmt.Sprintf("serial-%05d", n),
				UUID: fmt.Sprintf("4c4c4544-0000-4000-8000-%012x", n),
				MACs: []string{fmt.Sprintf("02:00:00:%02x:%02x:%02x", n>>16&255, n>>8&255, n&255), fmt.Sprintf("02:01:00:%02x:%02x:%02x", n>>16&255, n>>8&255, n&255)},
			},
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			return nil, err
		}
		text, hash, err := k.Certify(request, string(m.host.ID), now)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(text)
		m.host.Key, m.certificate = hash, tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
		if m.configuration, err = configurationOf(m.host, k.Age.Recipient()); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// configurationOf is about as large as that of a server with two systems.
func configurationOf(h record.Host, to age.Recipient) (wire.Configuration, error) {
	var disks []map[string]string
	for n := range 12 {
		disks = append(disks, map[string]string{"name": fmt.Sprintf("/dev/sda%d", n), "uuid": fmt.Sprintf("%s-%d", h.ID, n), "type": "ext4", "mount": fmt.Sprintf("/srv/part%d", n)})
	}
	layout, err := json.Marshal(map[string]any{"disks": disks})
	if err != nil {
		return wire.Configuration{}, err
	}
	open := configuration.Open{
		Format: configuration.Format, Identity: h.Identity,
		Systems: []configuration.System{
			{Name: "smt", Profile: "smt", Digest: strings.Repeat("5", 64), Repositories: []string{"main"}},
			{Name: "system", Profile: "sles", Digest: strings.Repeat("6", 64), Repositories: []string{"main"}},
		},
		Repositories: []configuration.Repository{{Name: "main", Location: "rest:https://backup.example.com:8443/" + h.Identity.Hostname + "/"}},
		Network:      json.RawMessage(`{"hostname":"` + h.Identity.Hostname + `","addresses":["192.0.2.7/24"],"routes":["default via 192.0.2.1"]}`),
		Layout:       layout,
	}
	secret := configuration.Secret{
		Format: configuration.Format, Host: h.ID,
		Files: []configuration.File{
			{Path: "/etc/lifeboat/lifeboat.yaml", Mode: 0o600, Content: []byte(strings.Repeat("# "+h.Name+": what is protected, and where to\n", 30))},
			{Path: "/etc/lifeboat/profiles/site.yaml", Mode: 0o600, Content: []byte(strings.Repeat("# a profile of the site for "+string(h.ID)+"\n", 40))},
		},
	}
	text, err := open.Encode()
	if err != nil {
		return wire.Configuration{}, err
	}
	sealed, err := secret.Seal(to)
	if err != nil {
		return wire.Configuration{}, err
	}
	return wire.Configuration{Open: text, Secret: sealed, SecretDigest: nonce()}, nil
}

// enrol puts the hosts into a database.
func enrol(ctx context.Context, url string, k *keys.Keys, members []member) (err error) {
	db, err := store.Open(ctx, url, store.Signed(k.Signing))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for first := 0; first < len(members); first += 250 {
		part := members[first:min(first+250, len(members))]
		err := db.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
			for n := range part {
				m := &part[n]
				if err := tx.PutHost(m.host); err != nil {
					return nil, err
				}
				if _, err := tx.AddVersion(record.Version{
					Host: m.host.ID, Created: m.host.Joined, Report: "first", Digest: action.ConfigurationDigest(&m.configuration),
					Open: m.configuration.Open, Secret: m.configuration.Secret,
				}); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		if err != nil {
			return fmt.Errorf("enrol hosts: %w", err)
		}
	}
	return nil
}

// certificate is the files of a server's certificate.
type certificate struct{ cert, key, authority string }

// writeCertificate has the fleet's authority certify a server.
func writeCertificate(dir string, k *keys.Keys) (certificate, error) {
	made, err := k.ServerCertificate()(nil)
	if err != nil {
		return certificate{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		return certificate{}, err
	}
	var chain []byte
	for _, der := range made.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	c := certificate{filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"), filepath.Join(dir, "authority.pem")}
	return c, errors.Join(
		os.WriteFile(c.cert, chain, 0o600),
		os.WriteFile(c.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
		os.WriteFile(c.authority, k.AuthorityPEM(), 0o600),
	)
}
