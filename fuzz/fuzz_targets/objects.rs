#![no_main]
libfuzzer_sys::fuzz_target!(init: ghost_fuzz::write_seeds(), |data: &[u8]| ghost_fuzz::objects(data));
