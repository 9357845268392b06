#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

fn check(name: &str) -> fn(&[u8]) -> bool {
    super::CHECKS.iter().find(|(known, _)| *known == name).unwrap().1
}

/// Published examples.
#[test]
fn published_numbers_are_valid() {
    let mut wrong: Vec<(&str, &str)> = Vec::new();
    for (name, number) in [
        ("ar-cuit", "20172543597"),
        ("au-abn", "51824753556"),
        ("au-medicare", "2123456701"),
        ("au-tfn", "123456782"),
        ("be-nrn", "85073003328"),
        ("bg-egn", "7523169263"),
        ("br-cnpj", "11222333000181"),
        ("br-cpf", "52998224725"),
        ("ca-sin", "130692544"),
        ("ch-ahv", "7569217076985"),
        ("cl-rut", "125316093"),
        ("cn-resident-id", "11010519491231002X"),
        ("cz-rodne-cislo", "7103192745"),
        ("de-steuer-id", "36574261809"),
        ("dk-cpr", "2110625629"),
        ("ee-isikukood", "36805280109"),
        ("es-dni", "54362315K"),
        ("es-dni", "X5253868R"),
        ("fi-hetu", "131052308T"),
        ("fr-nir", "295109912611193"),
        ("gr-amka", "01013099997"),
        ("hr-oib", "33392005961"),
        ("ie-pps", "6433435F"),
        ("ie-pps", "6433435OA"),
        ("il-id", "039337423"),
        ("in-aadhaar", "234123412346"),
        ("in-pan", "ACUPA7085R"),
        ("is-kennitala", "4504013150"),
        ("it-codice-fiscale", "RCCMNL83S18D969H"),
        ("jp-my-number", "123456789018"),
        ("kr-rrn", "9710139019902"),
        ("mx-curp", "BOXW310820HNERXN09"),
        ("nl-bsn", "111222333"),
        ("no-fodselsnummer", "15108695088"),
        ("pl-pesel", "44051401359"),
        ("pt-nif", "501964843"),
        ("ro-cnp", "1630615123457"),
        ("se-personnummer", "8803200016"),
        ("sg-nric", "S1234567D"),
        ("th-id", "1234567890121"),
        ("tr-kimlik", "17291716060"),
        ("uk-nhs", "9434765870"),
        ("uk-nino", "AB123456C"),
        ("us-aba", "021000021"),
        ("us-dea", "AB1234563"),
        ("us-itin", "912701234"),
        ("us-npi", "1234567893"),
        ("vin", "1HGCM82633A004352"),
        ("za-id", "7503305044089"),
    ] {
        if !check(name)(number.as_bytes()) {
            wrong.push((name, number));
        }
    }
    assert_eq!(wrong, []);
}

/// What a checksum is for: of all values of the last digit or letter at most two are valid.
#[test]
fn a_changed_last_character_is_noticed() {
    for (name, head, alphabet) in [
        ("br-cpf", "5299822472", "0123456789"),
        ("uk-nhs", "943476587", "0123456789"),
        ("in-aadhaar", "23412341234", "0123456789"),
        ("us-aba", "02100002", "0123456789"),
        ("es-dni", "54362315", "ABCDEFGHJKLMNPQRSTVWXYZ"),
        ("it-codice-fiscale", "RCCMNL83S18D969", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("cn-resident-id", "11010519491231002", "0123456789X"),
        ("au-medicare", "2123456", "0"),
    ] {
        let valid = alphabet.chars().filter(|last| check(name)(format!("{head}{last}").as_bytes())).count();
        assert!(valid <= 1, "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_check_panic(text in "[0-9A-Z]{0,20}", odd in ".{0,12}") {
        for (_, check) in super::CHECKS {
            check(text.as_bytes());
            check(odd.as_bytes());
        }
    }

    /// By chance a number passes about one check in eleven, not one in two.
    #[test]
    fn most_numbers_are_not_valid(seed in 0u64..u64::MAX) {
        let text: String = (0..40).map(|place| char::from(b'0' + ((seed >> (place % 60)) ^ (seed.wrapping_mul(place + 7) >> 11)) as u8 % 10)).collect();
        let count = super::CHECKS.iter().filter(|(_, check)| (8..19).any(|length| check(&text.as_bytes()[..length]))).count();
        prop_assert!(count < super::CHECKS.len() / 2);
    }
}
