package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/fleet/wire"
)

// Settings are what all servers of a fleet share besides their keys.
type Settings struct {
	// URL is how hosts reach the server: https://NAME:PORT.
	URL string `json:"url"`
	// Names are the host names and addresses of its own certificate.
	Names []string `json:"names"`
}

var hostName = regexp.MustCompile(`^(\*\.)?[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*$`)

// NewSettings are those of a server that is reached by names, the first one in the
// URL unless one is given.
func NewSettings(address string, names []string) (Settings, error) {
	s := Settings{URL: strings.TrimSuffix(address, "/"), Names: names}
	if address == "" && len(names) > 0 {
		s.URL = "https://" + net.JoinHostPort(names[0], wire.DefaultPort)
	}
	if u, err := url.Parse(s.URL); err == nil && u.Hostname() != "" && !slices.Contains(s.Names, u.Hostname()) {
		s.Names = append([]string{u.Hostname()}, s.Names...)
	}
	return s, s.validate()
}

func (s Settings) validate() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("%q is no address of a fleet server; write https://NAME:PORT", s.URL)
	}
	if len(s.Names) == 0 {
		return errors.New("a fleet server has a name at least")
	}
	for _, name := range s.Names {
		if net.ParseIP(name) == nil && (len(name) > 253 || !hostName.MatchString(name)) {
			return fmt.Errorf("%q is no host name and no address", name)
		}
	}
	return nil
}

func (s Settings) encode() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

func parseSettings(text []byte) (Settings, error) {
	var s Settings
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, err
	}
	return s, s.validate()
}
