package documenttest

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// Form is how a document is written.
type Form struct {
	Encoding    string // "msgpack" or "json"
	Compression string // "lz4", "gz" or "none"
	Password    string // "" writes it plainly
}

func (f Form) String() string {
	s := f.Encoding + "." + f.Compression
	if f.Password != "" {
		s += ".aes"
	}
	return s
}

// Forms are all that opsiconfd can write, the encrypted ones with that password.
func Forms(password string) []Form {
	var all []Form
	for _, encoding := range []string{"msgpack", "json"} {
		for _, compression := range []string{"lz4", "gz", "none"} {
			for _, p := range []string{"", password} {
				all = append(all, Form{encoding, compression, p})
			}
		}
	}
	return all
}

// Write makes a document in a form.
func Write(document Object, f Form) ([]byte, error) {
	encode := Msgpack
	if f.Encoding == "json" {
		encode = JSON
	}
	data, err := encode(document)
	if err == nil {
		data, err = pack(data, f.Compression)
	}
	if err == nil && f.Password != "" {
		data, err = Encrypt(data, f.Password)
	}
	return data, err
}

func pack(data []byte, compression string) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	switch compression {
	case "none":
		return data, nil
	case "gz":
		w = gzip.NewWriter(&out)
	case "lz4":
		// As Python's lz4.frame does: the size in the head, no sum.
		z := lz4.NewWriter(&out)
		if err := z.Apply(lz4.ChecksumOption(false), lz4.SizeOption(uint64(len(data)))); err != nil {
			return nil, err
		}
		w = z
	default:
		return nil, fmt.Errorf("no compression is called %q", compression)
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// Encrypt seals bytes as opsiconfd does.
func Encrypt(data []byte, password string) ([]byte, error) {
	salt, nonce := make([]byte, 32), make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	_, _ = rand.Read(nonce)
	key, err := pbkdf2.Key(sha256.New, password, salt, 200_000, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(nonce))
	if err != nil {
		return nil, err
	}
	sealed := gcm.Seal(nil, nonce, data, nil)
	text, tag := sealed[:len(data)], sealed[len(data):]
	return bytes.Join([][]byte{[]byte("{aes-256-gcm-sha256}"), salt, tag, nonce, text}, nil), nil
}
