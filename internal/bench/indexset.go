package bench

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"lifeboat/internal/repository"
	"lifeboat/internal/repository/crypto"
	"lifeboat/internal/storage"
)

// indexPassword opens the repository of an index set.
const indexPassword = "bench"

// The shape of an index file, as restic 0.14 writes it from a server's files:
// 50,000 blobs, packs of 16 MiB, one in twelve with trees, everything
// compressed at zstd's default level.
const (
	indexFileBlobs = 50_000
	packBytes      = 16 << 20
	treePacks      = 12
)

// BuildIndex makes a repository of so many blobs in dir, of which only the index
// exists; its packs are files of the right sizes without content. It is the same for
// the same number of blobs, but for its keys.
func BuildIndex(ctx context.Context, dir string, blobs int) (err error) {
	store, err := storage.Open(ctx, dir, storage.Options{})
	if err != nil {
		return err
	}
	repo, err := repository.Create(ctx, store, []byte(indexPassword), repository.Options{Scrypt: repository.ScryptParams{N: 2, R: 8, P: 1}})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	key, err := masterKey(dir)
	if err != nil {
		return err
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithWindowSize(512<<10))
	if err != nil {
		return err
	}
	rng := rand.NewChaCha8([32]byte{1})
	numbers := rand.New(rng)
	var text, packed []byte
	for packs := 0; blobs > 0; {
		listed := min(blobs, indexFileBlobs)
		blobs -= listed
		text = append(text[:0], `{"packs":[`...)
		for i := 0; listed > 0; i++ {
			if i > 0 {
				text = append(text, ',')
			}
			var p pack
			text, p = appendPack(text, rng, numbers, packs%treePacks == 0, listed)
			if err := p.make(dir); err != nil {
				return err
			}
			listed -= p.blobs
			packs++
		}
		text = append(text, "]}"...)
		packed = encoder.EncodeAll(text, append(packed[:0], 2)) // 2 is the format's mark of zstd
		sealed := key.Seal(nil, packed)
		name := repository.Hash(sealed).String()
		if err := store.Save(ctx, storage.Handle{Type: storage.Index, Name: name}, sealed); err != nil {
			return err
		}
	}
	return nil
}

// pack is one that an index lists.
type pack struct {
	name  string
	blobs int
	size  int64 // bytes
}

// Sizes in a pack, in bytes: the entry of a compressed blob in its header, and what
// is around the entries.
const (
	packEntry   = 41
	packTrailer = 36
)

// make puts a file without content in the pack's place.
func (p pack) make(dir string) error {
	sub := filepath.Join(dir, "data", p.name[:2])
	if err := os.MkdirAll(sub, 0o700); err != nil {
		return err
	}
	file := filepath.Join(sub, p.name)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	return os.Truncate(file, p.size)
}

// appendPack appends a pack of most blobs at most.
func appendPack(text []byte, rng *rand.ChaCha8, numbers *rand.Rand, trees bool, most int) ([]byte, pack) {
	var id [32]byte
	appendID := func() {
		_, _ = rng.Read(id[:])
		text = append(hex.AppendEncode(append(text, `{"id":"`...), id[:]), '"')
	}
	appendID()
	p := pack{name: hex.EncodeToString(id[:])}
	text = append(text, `,"blobs":[`...)
	kind, usual := `,"type":"data","offset":`, 40_000
	if trees {
		kind, usual = `,"type":"tree","offset":`, 2_000
	}
	offset := 0
	for ; offset < packBytes && p.blobs < most; p.blobs++ {
		length := 33 + numbers.IntN(usual)
		if p.blobs > 0 {
			text = append(text, ',')
		}
		appendID()
		text = strconv.AppendInt(append(text, kind...), int64(offset), 10)
		text = strconv.AppendInt(append(text, `,"length":`...), int64(length), 10)
		text = strconv.AppendInt(append(text, `,"uncompressed_length":`...), int64(length+numbers.IntN(2*length)), 10)
		text = append(text, '}')
		offset += length
	}
	p.size = int64(offset + p.blobs*packEntry + packTrailer)
	return append(text, "]}"...), p
}

// masterKey reads the key that a repository's only key file holds.
func masterKey(dir string) (*crypto.Key, error) {
	files, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("%s has %d keys: %w", dir, len(files), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	var file struct {
		N, R, P    int
		Salt, Data []byte
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	user, err := crypto.Derive([]byte(indexPassword), file.Salt, crypto.Params{N: file.N, R: file.R, P: file.P})
	if err != nil {
		return nil, err
	}
	plain, err := user.Open(file.Data)
	if err != nil {
		return nil, err
	}
	master := new(crypto.Key)
	return master, json.Unmarshal(plain, master)
}
