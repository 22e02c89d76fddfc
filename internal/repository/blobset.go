package repository

// blobSet says which blobs are needed.
type blobSet struct {
	trees map[ID]struct{}
	data  map[ID]struct{}
}

func newBlobSet() *blobSet {
	return &blobSet{trees: make(map[ID]struct{}), data: make(map[ID]struct{})}
}

func (s *blobSet) has(kind BlobType, id ID) bool {
	m := s.data
	if kind == TreeBlob {
		m = s.trees
	}
	_, ok := m[id]
	return ok
}

func (s *blobSet) addData(id ID) { s.data[id] = struct{}{} }
