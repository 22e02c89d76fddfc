package typed

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// SecretSize is how many random bytes the password of a kit has.
const SecretSize = 20

// Password is the password that a secret stands for, and what is printed: 8 groups
// with hyphens between them. Repositories are opened with exactly this text, so
// that any program can be given what stands on the paper.
func Password(secret [SecretSize]byte) string { return passwordForm.write(secret[:]) }

// sumSize and headSize are bytes of a share around its data.
const (
	headSize = 4
	sumSize  = 2
	// DataSize is how many bytes of a split secret a share carries.
	DataSize = 24
	// MaxShares is how many shares a kit can have.
	MaxShares = 16
)

// shareVersion is in the first four bits of every share.
const shareVersion = 1

// Share is one share as it stands on paper.
type Share struct {
	Kit       string // KitSize signs: which shares belong together
	Number    int    // from 1 to MaxShares
	Threshold int    // so many shares are needed, from 2 to MaxShares
	Data      [DataSize]byte
}

// KitSize is how many signs name a kit.
const KitSize = 4

// NewKit draws the name of a kit. It has nothing to do with the kit's secret.
func NewKit() string {
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails
	return base.EncodeToString(random[:])[:KitSize]
}

// kitNumber is the name as a number of 20 bits.
func kitNumber(kit string) (n uint32, ok bool) {
	if len(kit) != KitSize {
		return 0, false
	}
	values, ok := valuesOf(kit)
	for _, v := range values {
		n = n<<5 | uint32(v)
	}
	return n, ok
}

// IsKit tells whether a text is the name of a kit.
func IsKit(text string) bool {
	_, ok := kitNumber(text)
	return ok
}

// String is what is printed: 12 groups with hyphens between them. It panics for
// numbers that no share can have.
func (s Share) String() string {
	kit, ok := kitNumber(s.Kit)
	if !ok || s.Number < 1 || s.Number > MaxShares || s.Threshold < 2 || s.Threshold > MaxShares {
		panic(fmt.Sprintf("typed: no share: kit %q, number %d, threshold %d", s.Kit, s.Number, s.Threshold))
	}
	head := uint32(shareVersion)<<28 | uint32(s.Threshold-1)<<24 | uint32(s.Number-1)<<20 | kit
	text := binary.BigEndian.AppendUint32(nil, head)
	text = append(text, s.Data[:]...)
	sum := sumOf(text)
	return shareForm.write(append(text, sum[:]...))
}

// sumOf finds what the checks of the groups do not.
func sumOf(text []byte) [sumSize]byte {
	sum := sha256.Sum256(append([]byte("lifeboat share\n"), text...))
	return [sumSize]byte(sum[:])
}

func parseShare(text []byte) (Share, error) {
	body, sum := text[:headSize+DataSize], text[headSize+DataSize:]
	if want := sumOf(body); subtle.ConstantTimeCompare(sum, want[:]) != 1 {
		return Share{}, fmt.Errorf("the share is mistyped: %w", ErrMistyped)
	}
	head := binary.BigEndian.Uint32(body)
	if version := head >> 28; version != shareVersion {
		return Share{}, fmt.Errorf("the share is of version %d, and this lifeboat reads version %d: use a newer one", version, shareVersion)
	}
	s := Share{Threshold: int(head>>24&15) + 1, Number: int(head>>20&15) + 1, Data: [DataSize]byte(body[headSize:])}
	for shift := 15; shift >= 0; shift -= 5 {
		s.Kit += alphabet[head>>shift&31:][:1]
	}
	if s.Threshold < 2 {
		return Share{}, fmt.Errorf("the share is mistyped: %w", ErrMistyped)
	}
	return s, nil
}
