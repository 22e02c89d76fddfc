package s3

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Place says where in which object storage a repository lies.
type Place struct {
	Endpoint string // host or host:port
	Plain    bool   // HTTP without TLS
	Bucket   string
	Prefix   string // without slashes at its ends; may be empty
}

// ParseURL reads restic's notation: s3:HOST[:PORT]/BUCKET[/PREFIX], with
// http://, https:// or // before the host; HTTPS unless http:// is said.
func ParseURL(address string) (Place, error) {
	rest, ok := strings.CutPrefix(address, "s3:")
	if !ok {
		return Place{}, fmt.Errorf("%q is not an s3: address", address)
	}
	if !strings.Contains(rest, "://") {
		rest = "https://" + strings.TrimPrefix(rest, "//")
	}
	u, err := url.Parse(rest)
	if err != nil {
		// The error of url.Parse would repeat the address, secrets and all.
		return Place{}, errors.New("the s3: address cannot be read; it has the form s3:https://HOST:PORT/BUCKET/PREFIX")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return Place{}, fmt.Errorf("s3: address with scheme %q; it has the form s3:https://HOST:PORT/BUCKET/PREFIX", u.Scheme)
	case u.User != nil:
		return Place{}, errors.New("keys do not belong into an s3: address; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write a credentials file")
	case u.Host == "" || u.Hostname() == "":
		return Place{}, fmt.Errorf("%s names no host; it has the form s3:https://HOST:PORT/BUCKET/PREFIX", address)
	case u.RawQuery != "" || u.Fragment != "":
		return Place{}, fmt.Errorf("%s: an s3: address ends with the prefix", address)
	}
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if bucket == "" {
		return Place{}, fmt.Errorf("%s names no bucket; it has the form s3:https://HOST:PORT/BUCKET/PREFIX", address)
	}
	if slices.Contains(strings.Split(u.Path, "/"), "..") || bucket == "." {
		return Place{}, fmt.Errorf("%s: a prefix with .. is not supported", address)
	}
	return Place{
		Endpoint: u.Host,
		Plain:    u.Scheme == "http",
		Bucket:   bucket,
		Prefix:   strings.Trim(path.Clean("/"+prefix), "/"),
	}, nil
}

// String is the address in restic's notation.
func (p Place) String() string {
	u := url.URL{Scheme: "https", Host: p.Endpoint, Path: path.Join("/", p.Bucket, p.Prefix)}
	if p.Plain {
		u.Scheme = "http"
	}
	return "s3:" + u.String()
}
