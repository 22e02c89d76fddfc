package typed

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func example() Share {
	s := Share{Kit: "7F3K", Number: 2, Threshold: 3}
	for i := range s.Data {
		s.Data[i] = byte(i * 11)
	}
	return s
}

// What is on paper stays readable: these texts, which were also computed by another
// program from the description in docs/kit.md, must never change.
func TestWhatIsPrinted(t *testing.T) {
	var secret [SecretSize]byte
	for i := range secret {
		secret[i] = byte(255 - i*7)
	}
	if got := Password(secret); got != "ZZWFR-3TQ3W-VKAWY-XHY0S-Q6SAG-Q94X9-JT7R4-H0BTE" {
		t.Errorf("password %s", got)
	}
	if got := example().String(); got != "289VZ-RWR05-1CB2J-2B1Q4-896N7-GRVE2-F628M-Z6N5Q-P2XWS-DMEWN-WZSF9-T4XTN" {
		t.Errorf("share %s", got)
	}
}

func TestBack(t *testing.T) {
	for range 50 {
		var secret [SecretSize]byte
		rand.Read(secret[:])
		share := example()
		rand.Read(share.Data[:])
		share.Kit, share.Number, share.Threshold = NewKit(), 1+int(secret[0])%MaxShares, 2+int(secret[1])%(MaxShares-1)
		for text, want := range map[string]Found{
			Password(secret): {Password: Password(secret)},
			strings.ToLower(strings.ReplaceAll(Password(secret), "-", "  ")):                        {Password: Password(secret)},
			"text before\n" + Mark(share.Kit, share.Number) + "\n" + numbered(share) + "\nThe end.": {Share: &share},
			strings.NewReplacer("0", "o", "1", "l").Replace(share.String()):                         {Share: &share},
			numbered(share): {Share: &share},
		} {
			got, err := Find(text)
			if err != nil || len(got) != 1 || got[0].Password != want.Password || (got[0].Share == nil) != (want.Share == nil) || want.Share != nil && *got[0].Share != *want.Share {
				t.Fatalf("%q: %+v, %v", text, got, err)
			}
		}
	}
}

func numbered(s Share) string {
	var b strings.Builder
	for i, g := range strings.Split(s.String(), "-") {
		fmt.Fprintf(&b, "%3d %s", i+1, g)
		if i%4 == 3 {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// Every single wrong sign, every exchange of neighbours and every exchange of two
// groups is found, and the groups are named.
func TestMistakesAreNamed(t *testing.T) {
	for _, right := range []string{example().String(), Password([SecretSize]byte{1, 2, 3})} {
		groups := strings.Split(right, "-")
		try := func(what string, wrong []string, named ...int) {
			t.Helper()
			_, err := Find(strings.Join(wrong, " "))
			var e *GroupError
			if !errors.As(err, &e) || !slices.Equal(e.Wrong, named) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		for i, g := range groups {
			for at := range g {
				for _, sign := range alphabet {
					if byte(sign) != g[at] {
						try("sign", replaced(groups, i, g[:at]+string(sign)+g[at+1:]), i+1)
					}
				}
				if at > 0 && g[at] != g[at-1] {
					try("neighbours", replaced(groups, i, g[:at-1]+g[at:at+1]+g[at-1:at]+g[at+1:]), i+1)
				}
			}
			for j := range i {
				if groups[i] != groups[j] {
					try("groups", replaced(replaced(groups, i, groups[j]), j, groups[i]), j+1, i+1)
				}
			}
			try("letter that is none", replaced(groups, i, "U"+g[1:]), i+1)
			try("sign too many", replaced(groups, i, g+"0"), i+1)
			_, err := Find(strings.Join(slices.Delete(slices.Clone(groups), i, i+1), "-"))
			if want := fmt.Sprintf("%d were given", len(groups)-1); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("a missing group: %v", err)
			}
		}
	}
}

func replaced(groups []string, i int, with string) []string {
	groups = slices.Clone(groups)
	groups[i] = with
	return groups
}

// Two wrong signs may pass the check of their group; the sum over all finds them.
func TestSumOverAll(t *testing.T) {
	data, err := shareForm.read(strings.Split(example().String(), "-"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		wrong := bytes.Clone(data)
		wrong[i] ^= 0x41
		if _, err := Find(shareForm.write(wrong)); !errors.Is(err, ErrMistyped) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

func TestVersions(t *testing.T) {
	data, _ := shareForm.read(strings.Split(example().String(), "-"))
	body := append([]byte{data[0] | 0xf0}, data[1:headSize+DataSize]...)
	sum := sumOf(body)
	if _, err := Find(shareForm.write(append(body, sum[:]...))); err == nil || !strings.Contains(err.Error(), "version 15") {
		t.Error(err)
	}
}

func TestFindSeveral(t *testing.T) {
	a, b := example(), example()
	b.Number = 3
	bad := replaced(strings.Split(b.String(), "-"), 4, "00000")
	text := "Page one\n" + Mark(a.Kit, 2) + " " + a.String() + "\nkeep this apart\f" + Mark(b.Kit, 3) + " " + strings.Join(bad, "-")
	found, err := Find(text)
	if len(found) != 1 || *found[0].Share != a || err == nil || !strings.Contains(err.Error(), "line 3: lifeboat share 7f3k-3: the share is mistyped: group 5 is wrong") {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := Find(" \n"); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if _, err := Find(strings.Repeat("x", MaxText+1)); err == nil {
		t.Error("no bound")
	}
}

// Shares typed one below the other are each found, with headings or without, and a
// mistyped one among them is named by its line.
func TestFindWithoutHeadings(t *testing.T) {
	var shares []Share
	var plain []string
	for n := range 4 {
		s := example()
		s.Number = n + 1
		shares = append(shares, s)
		plain = append(plain, numbered(s))
	}
	second := strings.Split(shares[1].String(), "-")
	for name, c := range map[string]struct {
		text  string
		found []int
		wrong string
	}{
		"no spaces": {strings.ReplaceAll(shares[0].String(), "-", ""), []int{1}, ""},
		"no spaces, small letters, headings": {
			Mark("7F3K", 1) + "\n" + strings.ToLower(strings.ReplaceAll(shares[0].String(), "-", "")) + "\n" + Mark("7F3K", 2) + strings.Join(second[:6], "") + "\n" + strings.Join(second[6:], ""),
			[]int{1, 2},
			"",
		},
		"no spaces, a wrong group":  {strings.Join(replaced(second, 6, "ZZZZZ"), "") + "\n" + plain[2], []int{3}, "line 1: the share is mistyped: group 7 is wrong"},
		"no spaces, a sign missing": {Mark("7F3K", 2) + strings.Join(second, "")[:59], nil, "group 12 is wrong"},
		"no line between":           {plain[0] + plain[1] + plain[2], []int{1, 2, 3}, ""},
		"blank lines":               {plain[0] + "\n\n" + plain[1] + "\n" + plain[2], []int{1, 2, 3}, ""},
		"own headings":              {"Mrs Weiss:\n" + plain[0] + "Share 2 of 5, for the safe\n" + plain[1], []int{1, 2}, ""},
		"one heading":               {plain[0] + Mark("7F3K", 2) + "\n" + plain[1] + plain[2], []int{1, 2, 3}, ""},
		"all in one line":           {shares[0].String() + " " + shares[1].String(), []int{1, 2}, ""},
		"a wrong group":             {plain[0] + strings.Join(replaced(second, 6, "ZZZZZ"), " ") + "\n" + plain[2], []int{1, 3}, "line 4: the share is mistyped: group 7 is wrong"},
		"in the second line": {
			plain[0] + "\nshare 2\n" + strings.Join(second[:6], " ") + "\n" + strings.Join(replaced(second, 8, "ZZZZZ")[6:], " ") + "\n" + plain[2],
			[]int{1, 3},
			"line 7: the share is mistyped: group 9 is wrong",
		},
		"a group missing":             {plain[0] + strings.Join(slices.Delete(slices.Clone(second), 2, 3), " ") + "\n" + plain[2], []int{1, 3}, "line 4: a share has 12 groups of 5 signs, but 11 were given; group 3 is the first that is wrong"},
		"a late group missing":        {plain[0] + strings.Join(slices.Delete(slices.Clone(second), 9, 10), " ") + "\n" + plain[2], []int{1, 3}, "but 11 were given; group 10 is the first that is wrong"},
		"a group twice":               {plain[0] + strings.Join(slices.Insert(slices.Clone(second), 2, second[2]), " ") + "\n" + plain[2], []int{1, 3}, "but 13 were given; group 4 is the first that is wrong"},
		"a late group twice":          {plain[0] + strings.Join(slices.Insert(slices.Clone(second), 9, second[9]), " ") + "\n" + plain[2], []int{1, 3}, "but 13 were given; group 11 is the first that is wrong"},
		"two wrong ones":              {strings.Join(replaced(second, 6, "ZZZZZ"), " ") + "\n" + strings.Join(replaced(second, 1, "ZZZZZ"), " ") + "\n" + plain[2], []int{3}, "line 2: the share is mistyped: group 2 is wrong"},
		"wrong, and headings by hand": {Mark("7F3K", 1) + "\n" + plain[0] + strings.Join(replaced(second, 6, "ZZZZZ"), " "), []int{1}, "line 5: the share is mistyped: group 7 is wrong"},
		"a group missing below a heading": {
			Mark("7F3K", 2) + "\n" + strings.Join(second[:11], " ") + "\n\n" + plain[2],
			[]int{3},
			"lifeboat share 7f3k-2: a share has 12 groups of 5 signs, but 11 were given",
		},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := Find(c.text)
			var numbers []int
			for _, one := range found {
				if one.Share == nil || *one.Share != shares[one.Share.Number-1] {
					t.Fatalf("%+v", one)
				}
				numbers = append(numbers, one.Share.Number)
			}
			if !slices.Equal(numbers, c.found) || (err == nil) != (c.wrong == "") || !strings.Contains(fmt.Sprint(err), c.wrong) {
				t.Errorf("%v, %v", numbers, err)
			}
		})
	}
}

func TestReader(t *testing.T) {
	groups := strings.Split(example().String(), "-")
	r := new(Reader)
	try := func(line string, whole int, wrong string) {
		t.Helper()
		found, err := r.Line(line)
		if len(found) != whole || (err == nil) != (wrong == "") || !strings.Contains(fmt.Sprint(err), wrong) {
			t.Errorf("%+v, %v", found, err)
		}
		for _, one := range found {
			if one.Share == nil || *one.Share != example() {
				t.Errorf("%+v", one)
			}
		}
	}
	try("ABCDE", 0, "group 1 is wrong")
	try(strings.Join(groups[:3], " "), 0, "")
	try(groups[3]+" "+groups[5], 0, "group 5 is wrong")
	if next, of := r.Next(); next != 5 || of != 12 {
		t.Errorf("next %d of %d", next, of)
	}
	try("", 0, "")
	try(strings.Join(groups[4:], "-"), 1, "")
	// The next one begins where it ends, also in the same line, with a heading or not.
	try(strings.Join(groups[:11], " "), 0, "")
	try(groups[11]+" "+groups[0], 1, "")
	try(strings.Join(groups[1:], " "), 1, "")
	try(strings.Join(groups, ""), 1, "")
	try(strings.Join(groups[:4], ""), 0, "")
	try(strings.ToLower(strings.Join(groups[4:], "")), 1, "")
	try("", 0, "")
	for _, heading := range []string{Mark("7F3K", 2), "share 2", "LIFEBOAT SHARE 7F3K-2", "Share 2 of 5:", "share 7f3k-2:", "Share no. 2:"} {
		try(heading, 0, "")
		try(example().String(), 1, "")
		try(strings.ToLower(heading)+" "+example().String(), 1, "")
	}
	try(groups[0], 0, "")
	try(Mark("7F3K", 2), 0, "of the share before there are 1 groups of 12")
	try(example().String(), 1, "")
	if next, of := r.Next(); next != 1 || of != 0 {
		t.Errorf("next %d of %d", next, of)
	}
}

func TestKits(t *testing.T) {
	for text, ok := range map[string]bool{"7F3K": true, "7F3": false, "7f3k": false, "7F3U": false, "": false, "7F3KK": false} {
		if IsKit(text) != ok {
			t.Errorf("%q", text)
		}
	}
	if kit := NewKit(); !IsKit(kit) {
		t.Errorf("the name of a new kit: %q", kit)
	}
}

// Whatever is read is written as it is read, and nothing makes the parser fall.
func FuzzFind(f *testing.F) {
	f.Add(example().String())
	f.Add(Password([SecretSize]byte{9}))
	f.Add(Mark("7F3K", 2) + "\n" + numbered(example()))
	f.Add("lifeboat share :\nlifeboat password x: 1 2 3")
	f.Fuzz(func(t *testing.T, text string) {
		found, _ := Find(text)
		for _, one := range found {
			again := one.Password
			if one.Share != nil {
				again = one.Share.String()
			}
			back, err := Find(again)
			if err != nil || len(back) != 1 || back[0].Password != one.Password || one.Share != nil && *back[0].Share != *one.Share {
				t.Errorf("%q: %+v, %v", again, back, err)
			}
		}
		r := new(Reader)
		for line := range strings.Lines(text) {
			all, _ := r.Line(line)
			for _, one := range all {
				if one.Share != nil {
					_ = one.Share.String()
				}
			}
		}
	})
}
