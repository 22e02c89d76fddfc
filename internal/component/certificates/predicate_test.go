package certificates

import (
	"strings"
	"testing"
)

func TestPredicateByHand(t *testing.T) {
	for want, o := range map[string]PredicateOptions{
		"openssl verify -CAfile /ca.pem /cert.pem": {File: "/cert.pem", IssuedBy: "/ca.pem", Key: "/key.pem"},
		"": {File: "/cert.pem", IssuedBy: "/ca.pem", Expired: true},
	} {
		if got := strings.Join(o.ByHand(), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
