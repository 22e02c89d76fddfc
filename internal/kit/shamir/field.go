package shamir

// The field GF(256) is that of AES: polynomials over GF(2) modulo
// x^8+x^4+x^3+x+1 (FIPS 197, 4.2). Nothing here looks up a table or branches on a
// value, since both show in the time that is taken.

// add is also the subtraction.
func add(a, b byte) byte { return a ^ b }

func mul(a, b byte) byte {
	var product byte
	for range 8 {
		product ^= a & -(b & 1)
		b >>= 1
		a = a<<1 ^ 0x1b&-(a>>7)
	}
	return product
}

// inverse is a^254, by the eight squarings that this takes; 0 for 0.
func inverse(a byte) byte {
	result, power := byte(1), a
	for range 7 { // 254 is 2+4+8+16+32+64+128
		power = mul(power, power)
		result = mul(result, power)
	}
	return result
}
