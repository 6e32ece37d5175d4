//! Downloads: a body of any size, passed on as it comes instead of gathered in memory.

use std::io::Write;

use reqwest::StatusCode;

use super::{Client, Reply, problem_of};
use crate::failure::Failure;

impl Client {
    /// Writes the body of a `GET` and says how many bytes it had. A body that breaks off is an error: what was written
    /// until then is not the whole.
    pub async fn download(
        &self,
        path: &str,
        query: &[(&str, String)],
        to: &mut dyn Write,
    ) -> Result<u64, Failure> {
        let url = self.url(path)?;
        self.renew().await?;
        let request = self
            .http
            .get(url)
            .query(query)
            .headers(self.session.headers())
            .header("x-request-id", self.clock.id().to_string());
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.lost(&error).await),
        };
        if response.status() != StatusCode::OK {
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes().await.map(|bytes| bytes.to_vec()).unwrap_or_default();
            let reply = Reply { status, headers, server: self.server.to_string(), body };
            return Err(Failure::Problem(Box::new(problem_of(&reply))));
        }
        let mut written = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            to.write_all(&chunk)?;
            written += chunk.len() as u64;
        }
        to.flush()?;
        Ok(written)
    }
}
