package kit

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"

	"lifeboat/internal/config"
	"lifeboat/internal/kit/sheet"
	"lifeboat/internal/recovery"
	"lifeboat/internal/storage/redact"
	"lifeboat/internal/storage/sftp"
	"lifeboat/internal/storage/transport"
)

// Where a sheet tells people to put what they bring, on the machine that they
// recover on. Whatever is there is theirs to remove again.
const (
	keyFile      = "/root/kit.key"
	storeSecret  = "/root/store.secret"
	storeKey     = "/root/store.key"
	storePhrase  = "/root/store.passphrase"
	storeCA      = "/root/store-ca.pem"
	storeHosts   = "/root/store.known_hosts"
	mostProofs   = 6
	maxPEM       = 4 << 20
	reachAtAll   = "Reaching the repository at all. "
	restPassword = "Password of the REST server"
)

// access is how a repository is reached from a machine that knows nothing of it.
type access struct {
	arguments []string // of lifeboat
	flags     []string // of restic
	before    []string // what is to be done before restic is called
	address   string   // for restic
	proofs    []sheet.Line
	needed    []sheet.Secret
}

// accessTo finds out what of a repository's options a bare machine needs, and which
// secrets. Secrets themselves are never read.
func accessTo(r config.Repository) (access, error) {
	a := access{address: redact.URL(r.URL)}
	a.arguments = []string{"--repository", a.address}
	s := r.Store
	scheme, rest, _ := strings.Cut(r.URL, ":")
	switch scheme {
	case "sftp":
		if err := a.sftp(r.URL, s.SFTP); err != nil {
			return a, err
		}
	case "s3":
		a.s3(s.S3)
	case "rest":
		a.rest(r.URL, rest, s.REST)
	}
	switch {
	case s.Fingerprint != "":
		a.option("fingerprint", s.Fingerprint)
		a.proofs = append(a.proofs, sheet.Line{Name: "TLS certificate", Value: s.Fingerprint})
		a.flags = append(a.flags, "--cacert", storeCA)
		a.before = append(a.before,
			fmt.Sprintf("openssl s_client -connect %s </dev/null | openssl x509 >%s", recovery.Shell(hostPort(rest)), storeCA),
			fmt.Sprintf("openssl x509 -in %s -noout -fingerprint -sha256", storeCA),
			"# Go on only if that is the fingerprint above.")
	case s.CAFile != "":
		a.option("ca_file", storeCA)
		a.flags = append(a.flags, "--cacert", storeCA)
		a.need("Certificate of the authority", reachAtAll+"No secret; on this machine it is "+s.CAFile+". Put it into "+storeCA+".")
		proofs, err := authorities(s.CAFile)
		if err != nil {
			return a, err
		}
		a.proofs = append(a.proofs, proofs...)
	}
	return a, nil
}

func (a *access) option(key, value string) {
	a.arguments = append(a.arguments, "-o", key+"="+value)
}

func (a *access) need(what, why string) {
	a.needed = append(a.needed, sheet.Secret{What: what, For: why})
}

// kept says where this machine has a secret, and where a bare one should.
func kept(p *config.Password, to string) string {
	place := ""
	switch {
	case p == nil:
	case p.File != "":
		place = "On this machine it is in " + p.File + ". "
	case len(p.Command) > 0:
		place = "On this machine " + p.Command[0] + " prints it. "
	case p.Env != "":
		place = "On this machine it is in the environment (" + p.Env + "). "
	case p.Credential != "":
		place = "On this machine it is the systemd credential " + p.Credential + ". "
	}
	return place + "Put it into " + to + "."
}

func (a *access) sftp(address string, s config.SFTP) error {
	place, err := sftp.ParseURL(address)
	if err != nil {
		return err
	}
	who := place.Host
	if place.User != "" {
		who = place.User + "@" + place.Host
	}
	ssh := "ssh"
	if place.Port != "22" {
		ssh += " -p " + place.Port
	}
	switch {
	case s.Password != nil:
		a.option("sftp.password", "{file: "+storeSecret+"}")
		a.need("SFTP password", reachAtAll+"It is that of "+who+"; restic's ssh asks for it. "+kept(s.Password, storeSecret))
	default:
		a.option("sftp.key_file", storeKey)
		ssh += " -i " + storeKey
		file := s.KeyFile
		if file == "" {
			file = "in ~/.ssh or in an agent"
		}
		a.need("SFTP key", reachAtAll+"It is a private key that may log in as "+who+"; on this machine it is "+file+". Put it into "+storeKey+" (chmod 600).")
	}
	if s.Passphrase != nil {
		a.option("sftp.passphrase", "{file: "+storePhrase+"}")
		a.need("Passphrase of the SFTP key", reachAtAll+kept(s.Passphrase, storePhrase))
	}
	a.option("sftp.known_hosts", "["+storeHosts+"]")
	keys, err := sftp.KnownKeys(place, s.KnownHosts)
	if err != nil {
		return err
	}
	for _, k := range keys[:min(len(keys), mostProofs)] {
		a.proofs = append(a.proofs, sheet.Line{Name: "SSH host key", Value: k})
	}
	scan := "ssh-keyscan "
	if place.Port != "22" {
		scan += "-p " + place.Port + " "
	}
	a.proofs = append(a.proofs,
		sheet.Line{Name: "Fetch the keys", Value: scan + recovery.Shell(place.Host) + " >" + storeHosts},
		sheet.Line{Name: "and compare", Value: "ssh-keygen -lf " + storeHosts})
	a.flags = append(a.flags, "-o", "sftp.command="+ssh+" -o UserKnownHostsFile="+storeHosts+" "+who+" -s sftp")
	return nil
}

func (a *access) s3(s config.S3) {
	if s.Region != "" {
		a.option("s3.region", s.Region)
		a.before = append(a.before, "export AWS_DEFAULT_REGION="+recovery.Shell(s.Region))
	}
	if s.BucketLookup != "" && s.BucketLookup != "auto" {
		a.option("s3.bucket_lookup", s.BucketLookup)
		a.flags = append(a.flags, "-o", "s3.bucket-lookup="+s.BucketLookup)
	}
	key := "…"
	why := reachAtAll
	if s.AccessKey != "" {
		key = s.AccessKey
		why += "It belongs to the access key " + key + ". " + kept(s.SecretKey, storeSecret)
		a.option("s3.access_key", key)
		a.option("s3.secret_key", "{file: "+storeSecret+"}")
	} else {
		why += "With its access key, in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
		if s.CredentialsFile != "" {
			why += " On this machine both are in " + s.CredentialsFile + "."
		}
	}
	a.need("S3 secret key", why)
	a.before = append(a.before, "export AWS_ACCESS_KEY_ID="+recovery.Shell(key), "read -rs AWS_SECRET_ACCESS_KEY; export AWS_SECRET_ACCESS_KEY")
}

func (a *access) rest(address, rest string, s config.REST) {
	user := s.User
	why := reachAtAll
	switch u, err := url.Parse(rest); {
	case s.User != "":
		a.option("rest.user", s.User)
		a.option("rest.password", "{file: "+storeSecret+"}")
		why += "It is the password or token of the user " + s.User + ". " + kept(s.Password, storeSecret)
	case err == nil && u.User != nil && redact.URL(address) != address:
		user = u.User.Username()
		u.User = nil
		a.address = "rest:" + u.String()
		a.arguments = []string{"--repository", a.address}
		a.option("rest.user", user)
		a.option("rest.password", "{file: "+storeSecret+"}")
		why += "It is that of the user " + user + "; on this machine it is in the address. Put it into " + storeSecret + "."
	case os.Getenv("RESTIC_REST_USERNAME") != "":
		user = os.Getenv("RESTIC_REST_USERNAME")
		a.option("rest.user", user)
		a.option("rest.password", "{file: "+storeSecret+"}")
		why += "It is that of the user " + user + ". Put it into " + storeSecret + "."
	}
	if user == "" {
		return
	}
	a.need(restPassword, why)
	a.before = append(a.before, "# Restic reads user and password in the address, which therefore stands in a file: put rest:https://"+user+":PASSWORD@… into /root/repository (chmod 600), then")
	a.address = ""
}

// hostPort is what an HTTPS address connects to.
func hostPort(rest string) string {
	u, err := url.Parse(rest)
	if err != nil || u.Host == "" {
		return "HOST:443"
	}
	if u.Port() == "" {
		return u.Host + ":443"
	}
	return u.Host
}

// authorities are the certificates of a PEM file.
func authorities(file string) ([]sheet.Line, error) {
	info, err := os.Stat(file)
	if err == nil && info.Size() > maxPEM {
		err = fmt.Errorf("it has more than %d bytes", maxPEM)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("ca_file %s: %w", file, err)
	}
	var list []sheet.Line
	more := 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
		case len(list) == mostProofs:
			more++
		default:
			list = append(list, sheet.Line{Name: "Authority", Value: transport.Fingerprint(c.Raw) + " " + c.Subject.String()})
		}
	}
	if more > 0 {
		list = append(list, sheet.Line{Name: "", Value: fmt.Sprintf("and %d more in %s", more, path.Base(file))})
	}
	return list, nil
}
