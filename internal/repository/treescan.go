package repository

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"time"
	"unicode/utf8"
)

// scanTree reads a tree of the shape that this program and restic write, and
// reports false for every other, valid or not: that is left to encoding/json.
// Decoding with reflection was a third of a backup of unchanged files.
func scanTree(text []byte) (*Tree, bool) {
	s := treeScanner{scanner: scanner{rest: bytes.TrimRight(text, " \t\r\n")}}
	t := &Tree{Nodes: []*Node{}}
	var free []Node
	limit := nodeLimit(len(text))
	ok := s.token(`{"nodes":[`) && s.list(func() bool {
		if len(t.Nodes) == limit {
			return false
		}
		if len(free) == 0 {
			free = make([]Node, 16) // one piece of memory for several
		}
		n := &free[0]
		free = free[1:]
		t.Nodes = append(t.Nodes, n)
		return s.node(n)
	}) && s.token(`}`) && len(s.rest) == 0
	return t, ok
}

// treeScanner remembers what the node before said, as the next one often says
// the same.
type treeScanner struct {
	scanner
	user, group string
	moment      []byte
	time        time.Time
}

// node takes a node with its fields in the order of the struct.
func (s *treeScanner) node(n *Node) bool {
	var kind string
	ok := s.token(`{"name":`) && s.string(&n.Name, "") && s.token(`,"type":`) && s.string(&kind, "") &&
		s.small(`,"mode":`, (*uint32)(&n.Mode)) &&
		s.when(`,"mtime":`, &n.ModTime) && s.when(`,"atime":`, &n.AccessTime) && s.when(`,"ctime":`, &n.ChangeTime) &&
		s.small(`,"uid":`, &n.UID) && s.small(`,"gid":`, &n.GID) &&
		s.word(`,"user":`, &n.User, s.user) && s.word(`,"group":`, &n.Group, s.group) &&
		s.large(`,"inode":`, &n.Inode) && s.large(`,"device_id":`, &n.DeviceID) &&
		s.large(`,"size":`, &n.Size) && s.large(`,"links":`, &n.Links) &&
		s.word(`,"linktarget":`, &n.LinkTarget, "") && s.rawTarget(n) &&
		s.attributes(n) && s.large(`,"device":`, &n.Device) && s.content(n) && s.subtree(n) && s.token(`}`)
	if !ok {
		return false
	}
	name, err := unquoteName(n.Name)
	n.Name, n.Type = name, nodeKind(kind)
	s.user, s.group = n.User, n.Group
	return err == nil
}

// nodeKind spares a copy of the usual words.
func nodeKind(kind string) NodeType {
	for _, known := range []NodeType{File, Dir, Symlink} {
		if kind == string(known) {
			return known
		}
	}
	return NodeType(kind)
}

// string takes a string; one like the usual needs no memory.
func (s *treeScanner) string(into *string, usual string) bool {
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return false
	}
	rest := s.rest[1:]
	i := 0
	for i < len(rest) && plainByte[rest[i]] {
		i++
	}
	if i == len(rest) {
		return false
	}
	if rest[i] == '"' {
		if string(rest[:i]) == usual {
			*into = usual
		} else {
			*into = string(rest[:i])
		}
		s.rest = rest[i+1:]
		return true
	}
	// Something other than plain characters.
	escaped := false
	for ; i < len(rest) && rest[i] != '"'; i++ {
		if rest[i] == '\\' {
			escaped = true
			i++
		} else if rest[i] < ' ' {
			return false
		}
	}
	if i >= len(rest) {
		return false
	}
	if token := rest[:i]; !escaped && utf8.Valid(token) {
		*into = string(token)
	} else if json.Unmarshal(s.rest[:i+2], into) != nil {
		return false
	}
	s.rest = rest[i+1:]
	return true
}

func (s *treeScanner) word(key string, into *string, usual string) bool {
	return !s.token(key) || s.string(into, usual)
}

func (s *treeScanner) large(key string, into *uint64) (ok bool) {
	if !s.token(key) {
		return true
	}
	*into, ok = s.number()
	return ok
}

func (s *treeScanner) small(key string, into *uint32) bool {
	if !s.token(key) {
		return true
	}
	n, ok := s.number()
	*into = uint32(n)
	return ok && n <= math.MaxUint32
}

func (s *treeScanner) when(key string, into *time.Time) bool {
	if !s.token(key) {
		return true
	}
	token, ok := s.bare()
	if !ok {
		return false
	}
	if !bytes.Equal(token, s.moment) {
		if s.time.UnmarshalText(token) != nil {
			return false
		}
		s.moment = token
	}
	*into = s.time
	return true
}

// bare takes a string and returns what stands between the quotes, with escapes
// as they are.
func (s *treeScanner) bare() ([]byte, bool) {
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return nil, false
	}
	end := bytes.IndexByte(s.rest[1:], '"')
	if end < 0 {
		return nil, false
	}
	token := s.rest[1 : 1+end]
	s.rest = s.rest[end+2:]
	return token, true
}

// bytes takes base64. Bytes that other than this program wrote in another way
// are left to encoding/json.
func (s *treeScanner) bytes(into *[]byte) bool {
	token, ok := s.bare()
	if !ok || bytes.ContainsAny(token, "\\\r\n") {
		return false
	}
	decoded, err := base64.StdEncoding.AppendDecode([]byte{}, token)
	*into = decoded
	return err == nil
}

// rawTarget is a link's target that is not Unicode.
func (s *treeScanner) rawTarget(n *Node) bool {
	if !s.token(`,"linktarget_raw":`) {
		return true
	}
	var raw []byte
	if !s.bytes(&raw) || len(raw) == 0 {
		return false
	}
	n.LinkTarget = string(raw)
	return true
}

func (s *treeScanner) attributes(n *Node) bool {
	if !s.token(`,"extended_attributes":[`) {
		return true
	}
	n.ExtendedAttributes = []Attribute{}
	return s.list(func() bool {
		var a Attribute
		ok := s.token(`{"name":`) && s.string(&a.Name, "") && s.token(`,"value":`) && s.bytes(&a.Value) && s.token(`}`)
		n.ExtendedAttributes = append(n.ExtendedAttributes, a)
		return ok
	})
}

func (s *treeScanner) content(n *Node) bool {
	if s.token(`,"content":null`) || !s.token(`,"content":[`) {
		return true
	}
	const size = 2 + 2*len(ID{}) + 1 // of an ID with its comma
	n.Content = make([]ID, 0, max(0, bytes.IndexByte(s.rest, ']')+1)/size)
	return s.list(func() bool {
		ok := s.id()
		n.Content = append(n.Content, s.found)
		return ok
	})
}

func (s *treeScanner) subtree(n *Node) bool {
	if !s.token(`,"subtree":`) {
		return true
	}
	if !s.id() {
		return false
	}
	id := s.found
	n.Subtree = &id
	return true
}
