//! Answers: arbitrary bytes in arbitrary pieces never panic, on the byte path and in translation.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use tollgate::pipeline::translate::{ChatProfile, Ending, Progress, Rewriter, messages_to_chat};
use tollgate::types::ids::ModelName;

fuzz_target!(|data: &[u8]| {
    let Some((cut, rest)) = data.split_first() else { return };
    let request = br#"{"model":"m","max_tokens":1,"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    let Ok(chat) = messages_to_chat(request, &ModelName::from("m"), &ChatProfile::default()) else { return };
    for mut rewriter in [Rewriter::messages(None), Rewriter::chat(chat.answer.clone(), "msg_1")] {
        let mut out = BytesMut::new();
        let mut over = false;
        for piece in rest.chunks(usize::from(*cut).max(1)) {
            if !matches!(rewriter.push(&Bytes::copy_from_slice(piece), &mut out), Progress::More) {
                over = true;
                break;
            }
        }
        if !over {
            let _ = rewriter.end(Ending::Eof, &mut out);
        }
    }
});
