//! What is written of a document is read as the same document, and decides as it does.

use nicfw::policy::Document;
use nicfw::terms::Direction;
use nicfw_test_kit::packets::packet;
use nicfw_test_kit::texts::document;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_written_document_decides_as_the_one_that_was_read(
        text in document(),
        packets in prop::collection::vec(packet(), 20),
    ) {
        let document = Document::parse(&text, "random.yaml").unwrap();
        let written = document.to_text();
        let restored = Document::restore(&written, "random.yaml", &document.origin_lines()).unwrap();
        prop_assert_eq!(&restored, &document);
        prop_assert_eq!(restored.to_text(), written.clone());
        let read = Document::parse(&written, "random.yaml").unwrap();
        for flow in packets.iter().flat_map(|packet| [Direction::Rx, Direction::Tx].map(|side| packet.judged(side, 0))) {
            prop_assert_eq!(read.decide(&flow), document.decide(&flow));
        }
    }
}
