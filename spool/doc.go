// Package spool keeps records on disk while Kafka, where they belong, is away: a queue of bytes in one directory.
//
// # Promise
//
// When Append returns nil, its entries are on disk, fsynced, and will be handed out by Next, whatever happens to the
// process or to the power, until Acknowledge was told that they are safe elsewhere. They are handed out in the order in
// which they were appended: all entries of a call one after the other, and after those of each call that had returned
// before this one began. What is handed out is byte for byte what was appended.
//
// When Append returns an error, the caller must not claim that the entries are safe. After ErrTooLarge, ErrClosed and
// ErrInvalid, and after ErrFull at a bound of the options, nothing of them is there. After any other error, and after a
// crash during Append, some or all of them may be handed out all the same.
//
// What may be repeated: after a crash, entries of which Acknowledge had not returned. Nothing else: the position of the
// reader is on disk before Acknowledge returns nil.
//
// Nothing is ever overwritten or dropped to make room. When the bytes or the age of what waits reach their bound,
// Append refuses.
//
// # What the disk may do
//
// Torn tails: the last write of a killed process or machine may be there in part. Records have checksums; what is torn
// is skipped, kept aside and counted.
//
// Damage: records that had been safe and cannot be read any more are skipped up to the next good one, the bytes are
// kept in a file damaged-*, the missing records are counted by their numbers. A segment whose both headers are
// damaged is kept as a whole, under another name. When 64 MiB are kept, more is only counted. A read that fails is no
// damage: it may heal. Next returns its error and stays where it is.
//
// Failed writes and fsyncs: the callers get the error, the file is not written to again, and the next Append begins a
// new one. After an fsync that failed, the kernel may have dropped what it could not write and call it clean; an
// fsync after that succeeds and proves nothing. So the only thing to believe of that file is what earlier fsyncs have
// confirmed, and the next segment says by the number it begins with that all from there on is void in the one before.
//
// A full disk refuses like a full spool (ErrFull); reading and acknowledging go on and free it. A disk that became
// read-only fails each Append; what waits can still be read. Check tells beforehand.
//
// It is assumed that an append does not harm bytes of the same sector that were fsynced before.
//
// # Encryption
//
// With a key, each record is sealed with AES-256-GCM. Each segment has a key of its own, derived by HKDF-SHA-256 from
// the key given and the segment's 128 random bits of salt; the nonce is the number of the record. A number is used
// once in a segment: it only grows there, a segment is written by one process, and never again after a write or an
// fsync that failed. Sizes, numbers and times of files are not hidden. The header of a segment has the id of its key,
// a hash. A new first key writes new segments; the others are for what was written before. Without its key, Open says
// ErrKey.
//
// # Concurrency
//
// Append may be called by any number of goroutines; one write and one fsync serve all that wait. Next and Acknowledge
// are for one consumer. Stats and Empty are for anybody. A directory belongs to one process: Open says ErrInUse.
//
// It knows neither what a record means nor where it goes. It touches one directory, and chance for salts; it asks no
// clock but the one it is given.
package spool
