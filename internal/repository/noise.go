package repository

// Samples that tell whether a blob can be compressed, in bytes.
const (
	noiseMin     = 64 << 10 // smaller blobs are just tried
	noiseSamples = 8
	noiseSample  = 2 << 10
	// noiseLimit is what the samples' chi-squared statistic against evenly
	// spread bytes stays below. It is some 255 for random bytes, and 2·N·ln 2
	// times the bits a byte that coding them by frequency could save: this
	// limit is a saving of 2 %.
	noiseLimit = 2 * noiseSamples * noiseSample * 693 / 1000 * 16 / 100
)

// noise tells whether a blob looks as compressed or encrypted data does: every
// byte as frequent as every other. Repetitions of such data are not noticed;
// they are rare within one blob.
func noise(data []byte) bool {
	if len(data) < noiseMin {
		return false
	}
	var count [256]int
	for i := range noiseSamples {
		at := (len(data) - noiseSample) / (noiseSamples - 1) * i
		for _, b := range data[at : at+noiseSample] {
			count[b]++
		}
	}
	const expected = noiseSamples * noiseSample / 256
	squares := 0
	for _, n := range count {
		squares += (n - expected) * (n - expected)
	}
	return squares/expected < noiseLimit
}
