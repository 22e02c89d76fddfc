package opsi

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"lifeboat/internal/lab/machine"
)

// Client is what a client keeps of its server: it outlives the server.
type Client struct {
	ID     string
	Key    string // its host key
	Server string // host name the client knows
	CA     string // PEM of the CA it trusts
}

// clientRefresh plays one client's login over HTTPS with the identity on standard
// input.
func clientRefresh(_ *machine.Machine, c *machine.Call) int {
	var id Client
	if err := json.NewDecoder(c.Stdin).Decode(&id); err != nil {
		return c.Fail(1, "client identity: %v", err)
	}
	hc, err := machine.Trusting(id.CA, port)
	if err != nil {
		return c.Fail(1, "client identity: %v", err)
	}
	req, err := http.NewRequest(http.MethodPost, "https://"+id.Server+":"+port+"/rpc", strings.NewReader(`{"jsonrpc": "2.0", "id": 1, "method": "host_getObjects", "params": []}`))
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	req.SetBasicAuth(id.ID, id.Key)
	resp, err := hc.Do(req)
	if err != nil {
		return c.Fail(1, "login: %v", err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusOK {
		return c.Fail(1, "login: %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	c.Printf("%s is served by %s.\n", id.ID, id.Server)
	return 0
}
