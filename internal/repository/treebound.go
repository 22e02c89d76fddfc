package repository

import "fmt"

// An entry of a directory takes some 300 bytes in memory. In a tree that a backup
// has made it takes as many in the text; a hostile tree is all short entries, and
// would fill a hundred times its size.
const (
	mostNodes    = 4 << 20 // whatever the size of the text
	nodeBytes    = 64      // of text for a node, at least
	elementBytes = 16      // of text for an element of an array, at least
	fewNodes     = 1000    // as short as may be
	mostNested   = 64
)

// nodeLimit is how many entries a tree of so many bytes may have.
func nodeLimit(size int) int { return min(mostNodes, fewNodes+size/nodeBytes) }

// boundTree refuses JSON that takes far more memory than bytes when it is decoded.
// It counts; whether it is JSON is for others to find out.
func boundTree(text []byte) error {
	nodes, elements, depth := 0, 0, 0
	var arrays uint64 // which of the brackets around are square
	limit := nodeLimit(len(text))
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth == mostNested {
				return fmt.Errorf("%w: nested too deeply", ErrHostile)
			}
			if text[i] == '{' && depth == 2 {
				nodes++
			}
			arrays = arrays<<1 | uint64(text[i]>>5&1^1)
			depth++
		case '}', ']':
			arrays >>= 1
			depth = max(0, depth-1)
		case ',':
			elements += int(arrays & 1)
		}
		if nodes > limit || elements > fewNodes+len(text)/elementBytes {
			return fmt.Errorf("%w: too many entries for its %d bytes", ErrHostile, len(text))
		}
	}
	return nil
}
