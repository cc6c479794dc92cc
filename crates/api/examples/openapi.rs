//! Prints the API's description: `cargo run -p noroshi-api --example openapi > portal/src/api/openapi.json`.

fn main() {
    let text = serde_json::to_string_pretty(&noroshi_api::openapi()).unwrap_or_default();
    println!("{text}");
}
