package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed assets/*.css assets/*.js assets/*.svg
var files embed.FS

// digests are parts of the assets' addresses: a new version has a new one, so
// that browsers may keep them for ever.
var digests = func() map[string]string {
	all := map[string]string{}
	entries, err := files.ReadDir("assets")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		data, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		all[e.Name()] = hex.EncodeToString(sum[:8])
	}
	return all
}()

// asset is the address of an embedded file.
func asset(name string) string { return "/assets/" + digests[name] + "-" + name }

func serveAsset(w http.ResponseWriter, r *http.Request) {
	digest, name, _ := strings.Cut(r.PathValue("name"), "-")
	if digests[name] == "" || digests[name] != digest {
		http.NotFound(w, r)
		return
	}
	data, err := files.ReadFile("assets/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(data)
}
