package changelog

import "regexp"

// What a changelog says of a fault is a mending unless it says otherwise, and people say
// otherwise in many words. A line that is doubted for nothing costs somebody a look; one
// that is believed for nothing leaves a hole open, so what is not clear is doubted.
var (
	takenBack = regexp.MustCompile(`(?i)\b(?:revert|undo|undid|undone|withdr[ae]w|re-?open|back(?:ed|ing|s)?[ -]?out)`)
	unmended  = regexp.MustCompile(`(?i)(?:\bnot|n't|\bnever|\bcannot|\bno longer)\s+(?:\w+\s+){0,2}?(?:fix|address|affect|vulnerab|appl|solv|resolv|patch|mend|complete|enough|sufficient|concern|relevant|needed|included|enabled)` +
		`|\bun(?:fixed|affected|patched)\b|\bto ?do\b|\bto be (?:fixed|done|addressed)|\bneeds? (?:an? |more |further )?(?:backport|fix|patch|update|work|review)` +
		`|\bstill (?:open|vulnerable|affected|missing|unfixed|there|present|possible)|\bwork-?around|\bmitigat|\bpartial|\bpartly|\bincomplete|\binsufficient|\bfirst part\b|\bpending\b|\bfalse positive|\bwon'?t ?fix|\bdisput`)
	// A patch that is taken out takes the mending with it,
	dropped = regexp.MustCompile(`(?i)^\W*(?:remov|drop|delet|disabl|deactivat|comment)\w*\b|\b(?:remov|dropp?|delet|disabl|deactivat|comment|reject)\w*\b[^.;]*?(?:patch|\.diff?\b|\bfix)`)
	// unless it went because the new version has it.
	inherited = regexp.MustCompile(`(?i)\bupstream|\bmerged\b|\bintegrated\b|\b(?:now |are |is |already |was |were )?included\b|\bobsolete|\bpart of (?:the|this)\b|\bin (?:this|the new) (?:version|release)\b|\bfixed in\b`)
)

// doubtful tells whether an item that names a fault may say something else than that it
// was mended.
func doubtful(item string) bool {
	return takenBack.MatchString(item) || unmended.MatchString(item) ||
		dropped.MatchString(item) && !inherited.MatchString(item)
}
