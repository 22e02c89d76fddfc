package repository

// Limits of a batch. Its directories are held open until it is restored.
const (
	batchFiles = 8192
	batchDirs  = 200
	batchBlob  = 1 << 20 // the stored form of a larger blob is read by itself
)

// batch collects files of one small blob each. Most files are such; they are
// restored in the order their content lies in packs, with few large reads: a
// request to a distant store for each would take as long as all else.
type batch struct {
	places []place
	files  map[ID][]*restoreFile
	dirs   map[*restoreDir]bool
	count  int
}

// collect keeps a file for the batch, or tells that it is none for it.
func (w *restorer) collect(f *restoreFile) bool {
	if len(f.node.Content) != 1 {
		return false
	}
	id := f.node.Content[0]
	p, err := w.r.locate(w.ctx, DataBlob, id)
	if err != nil || p.blob.length > batchBlob || p.blob.size() > batchBlob {
		return false // what is wrong shows when the file is restored
	}
	b := &w.batch
	if b.files == nil {
		b.files, b.dirs = make(map[ID][]*restoreFile), make(map[*restoreDir]bool)
	}
	if len(b.files[id]) == 0 {
		b.places = append(b.places, p)
	}
	b.files[id] = append(b.files[id], f)
	b.dirs[f.dir] = true
	if b.count++; b.count >= batchFiles || len(b.dirs) >= batchDirs {
		w.flush()
	}
	return true
}

// flush gives what was collected to the workers.
func (w *restorer) flush() {
	b := w.batch
	w.batch = batch{}
	for _, group := range groupPlaces(b.places) {
		for _, s := range spans(group) {
			w.submit(func() { w.span(s, b.files) }, func() { s.release(b.files) })
		}
	}
}

// submit gives work to the workers; after the end it is dropped instead.
func (w *restorer) submit(job, dropped func()) {
	select {
	case w.jobs <- job:
	case <-w.ctx.Done():
		dropped()
	}
}

// release lets go of the directories of a span's files.
func (s span) release(files map[ID][]*restoreFile) {
	for _, b := range s.blobs {
		for _, f := range files[b.id] {
			f.dir.release()
		}
	}
}

// span restores the files whose content lies in one part of a pack.
func (w *restorer) span(s span, files map[ID][]*restoreFile) {
	defer s.release(files)
	if w.ctx.Err() != nil {
		return
	}
	wanted := packBlobs{pack: s.pack}
	for _, b := range s.blobs {
		need := false
		for _, f := range files[b.id] {
			kept, err := w.keepInPlace(f)
			w.ended(f, kept, err)
			need = need || !kept && err == nil
		}
		if need {
			wanted.blobs = append(wanted.blobs, b)
		}
	}
	use := func(m moved) error {
		for _, f := range files[m.id] {
			if !f.complete && !f.failed {
				w.ended(f, true, w.create(f, m.plain))
			}
		}
		return w.ctx.Err()
	}
	m := mover{repo: w.r, damaged: func(p place, err error) error {
		data, otherErr := w.r.loadBlob(w.ctx, DataBlob, p.blob.id, nil)
		if otherErr == nil {
			return use(moved{packedBlob: p.blob, plain: data})
		}
		for _, f := range files[p.blob.id] {
			w.ended(f, false, err)
		}
		return w.ctx.Err()
	}}
	for _, part := range spans(wanted) {
		err := m.span(w.ctx, part, use)
		if err == nil || w.ctx.Err() != nil {
			continue
		}
		for _, b := range part.blobs {
			for _, f := range files[b.id] {
				if !f.complete {
					w.ended(f, false, err)
				}
			}
		}
	}
}

// ended notes what became of a file.
func (w *restorer) ended(f *restoreFile, complete bool, err error) {
	if err != nil && !f.failed {
		f.failed = true
		w.failed("restore", f.path, err)
	}
	f.complete = complete && err == nil
}
