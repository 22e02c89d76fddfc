package shamir

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// Products of FIPS 197, 4.2 and 4.2.1.
func TestMulFIPS197(t *testing.T) {
	for _, test := range [][3]byte{
		{0x57, 0x83, 0xc1}, {0x57, 0x13, 0xfe}, {0x57, 0x02, 0xae}, {0x57, 0x04, 0x47}, {0x57, 0x08, 0x8e}, {0x57, 0x10, 0x07},
	} {
		if got := mul(test[0], test[1]); got != test[2] || mul(test[1], test[0]) != got {
			t.Errorf("%02x·%02x = %02x, want %02x", test[0], test[1], got, test[2])
		}
	}
}

func TestInverse(t *testing.T) {
	if inverse(0) != 0 || inverse(0x53) != 0xca { // the pair of FIPS 197, 5.1.1
		t.Errorf("inverse: %02x %02x", inverse(0), inverse(0x53))
	}
	for a := 1; a < 256; a++ {
		if mul(byte(a), inverse(byte(a))) != 1 {
			t.Errorf("%02x has no inverse", a)
		}
	}
}

// The test case of draft-mcgrew-tss-03, section 9: "test" and a zero byte, 2 of 2.
func TestCombineMcGrew(t *testing.T) {
	got, err := Combine([]Share{{1, unhex("b9fa07e185")}, {2, unhex("f5409b4511")}})
	if err != nil || !bytes.Equal(got, unhex("7465737400")) {
		t.Errorf("%x, %v", got, err)
	}
}

// The shares of that test case are what splitting gives with its coefficients.
func TestSplitMcGrew(t *testing.T) {
	line := make([]byte, 5) // f(1) = secret + coefficient
	for i, secret := range unhex("7465737400") {
		line[i] = secret ^ unhex("b9fa07e185")[i]
	}
	shares, err := split(bytes.NewReader(line), unhex("7465737400"), 2, 2)
	if err != nil || !bytes.Equal(shares[0].Y, unhex("b9fa07e185")) || !bytes.Equal(shares[1].Y, unhex("f5409b4511")) {
		t.Errorf("%x, %v", shares, err)
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestEveryChoiceGivesTheSecret(t *testing.T) {
	secret := []byte("a secret that is shared")
	for total := 2; total <= 6; total++ {
		for threshold := 2; threshold <= total; threshold++ {
			shares, err := Split(secret, total, threshold)
			if err != nil {
				t.Fatal(err)
			}
			for choice := range 1 << total {
				var chosen []Share
				for i := range total {
					if choice>>i&1 == 1 {
						chosen = append(chosen, shares[i])
					}
				}
				if len(chosen) == 0 {
					continue
				}
				got, err := Combine(chosen)
				if err != nil {
					t.Fatal(err)
				}
				if same := bytes.Equal(got, secret); same != (len(chosen) >= threshold) {
					t.Errorf("%d of %d, choice %b: the secret is given: %v", threshold, total, choice, same)
				}
			}
		}
	}
}

// With one share less than needed every secret is possible: for each there is
// exactly one further share that gives it.
func TestFewerSharesFitEverySecret(t *testing.T) {
	for threshold := 2; threshold <= 5; threshold++ {
		shares, err := Split([]byte{42}, 5, threshold)
		if err != nil {
			t.Fatal(err)
		}
		known := shares[1:threshold] // threshold-1 of them
		for secret := range 256 {
			with := append([]Share{{X: 1}}, known...)
			fits := 0
			for value := range 256 {
				with[0].Y = []byte{byte(value)}
				if got, err := Combine(with); err != nil {
					t.Fatal(err)
				} else if got[0] == byte(secret) {
					fits++
				}
			}
			if fits != 1 {
				t.Fatalf("threshold %d, secret %d: %d shares fit", threshold, secret, fits)
			}
		}
	}
}

// Over all coefficients there are, what two people see of a 3 of N has the same
// distribution for every secret: each pair of values exactly once.
func TestTwoOfThreeSeeEachPairOnce(t *testing.T) {
	for _, secret := range []byte{0, 1, 0x80, 0xff} {
		var seen [256 * 256]int
		for a := range 256 {
			for b := range 256 {
				f := []byte{secret, byte(a), byte(b)}
				seen[int(evaluate(f, 2))<<8|int(evaluate(f, 5))]++
			}
		}
		for pair, n := range seen {
			if n != 1 {
				t.Fatalf("secret %d: the values %04x occur %d times", secret, pair, n)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct{ size, total, threshold int }{{0, 3, 2}, {1, 3, 1}, {1, 3, 0}, {1, 2, 3}, {1, 256, 2}} {
		if _, err := Split(make([]byte, test.size), test.total, test.threshold); err == nil {
			t.Errorf("%+v is not refused", test)
		}
	}
	if _, err := split(bytes.NewReader(nil), []byte{1}, 2, 2); err == nil {
		t.Error("without randomness")
	}
	for name, shares := range map[string][]Share{
		"none": nil, "number 0": {{0, []byte{1}}, {1, []byte{1}}}, "lengths": {{1, []byte{1}}, {2, []byte{1, 2}}},
	} {
		if _, err := Combine(shares); !errors.Is(err, ErrUnfit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Combine([]Share{{1, []byte{1}}, {1, []byte{2}}}); !errors.Is(err, ErrTwice) {
		t.Errorf("twice: %v", err)
	}
}
