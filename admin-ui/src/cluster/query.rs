//! One question to many, at the same time, as far as that does not get out of hand.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::failures::{Failure, Failures, NobodyAnswered};
use super::upstream::{AskError, Service};

/// How many are asked at the same time for one request.
const FAN_OUT_MAX: usize = 64;

/// What everybody said, in the order in which they are listed.
#[derive(Debug)]
pub struct Asked<H, T> {
    service: Service,
    answers: Vec<(H, Result<T, AskError>)>,
}

/// Asks all. `ask` gives the future for one of them.
pub async fn ask_all<H, T, F>(
    service: Service,
    hosts: impl IntoIterator<Item = H>,
    ask: impl Fn(&H) -> F,
) -> Asked<H, T>
where
    H: AsRef<str>,
    T: Send + 'static,
    F: Future<Output = Result<T, AskError>> + Send + 'static,
{
    let hosts: Vec<H> = hosts.into_iter().collect();
    let room = Arc::new(Semaphore::new(FAN_OUT_MAX));
    let mut asked = JoinSet::new();
    for (index, host) in hosts.iter().enumerate() {
        let (question, room) = (ask(host), Arc::clone(&room));
        asked.spawn(async move {
            // It is never closed.
            let _permit = room.acquire().await;
            (index, question.await)
        });
    }
    let mut answers: Vec<Option<Result<T, AskError>>> = hosts.iter().map(|_| None).collect();
    while let Some(answer) = asked.join_next().await {
        // One that panicked has said so, and counts as not asked.
        if let Ok((index, answer)) = answer {
            answers[index] = Some(answer);
        }
    }
    let answers = hosts.into_iter().zip(answers).filter_map(|(host, answer)| Some((host, answer?)));
    Asked { service, answers: answers.collect() }
}

impl<H: AsRef<str>, T> Asked<H, T> {
    /// The answers, with who gave them; whoever failed is added to `failures`.
    ///
    /// # Errors
    /// Nobody answered.
    pub fn answers(self, failures: &mut Failures) -> Result<Vec<(H, T)>, NobodyAnswered> {
        let service = self.service;
        let (mut answers, mut failed) = (Vec::new(), Vec::new());
        for (host, answer) in self.answers {
            match answer {
                Ok(answer) => answers.push((host, answer)),
                Err(error) => {
                    // Whoever was asked several things failed once.
                    let failure = Failure::new(service, host.as_ref(), &error);
                    if !failed.contains(&failure) {
                        tracing::warn!("CI: {service} {}: {error}", host.as_ref());
                        failed.push(failure);
                    }
                }
            }
        }
        if answers.is_empty() {
            return Err(NobodyAnswered { service, failures: failed });
        }
        failures.add(failed);
        Ok(answers)
    }

    /// The answers of those that do not say that there is no such thing; `None` if that is all that anybody says.
    ///
    /// # Errors
    /// Nobody answered.
    pub fn found(self, failures: &mut Failures) -> Result<Option<Vec<(H, T)>>, NobodyAnswered> {
        let asked = self.answers.len();
        let known: Vec<_> = self
            .answers
            .into_iter()
            .filter(|(_, answer)| !matches!(answer, Err(error) if error.is_not_found()))
            .collect();
        if known.len() < asked && known.iter().all(|(_, answer)| answer.is_err()) {
            return Ok(None);
        }
        Self { service: self.service, answers: known }.answers(failures).map(Some)
    }

    /// All answers and refusals one by one.
    pub fn into_inner(self) -> Vec<(H, Result<T, AskError>)> {
        self.answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    fn refusal(status: StatusCode) -> AskError {
        AskError::Status { status, message: "X".to_owned() }
    }

    async fn asked(answers: &'static [Result<u32, StatusCode>]) -> Asked<String, u32> {
        let hosts = (0..answers.len()).map(|index| index.to_string());
        ask_all(Service::Nsqd, hosts, |host| {
            let answer = answers[host.parse::<usize>().unwrap()];
            async move { answer.map_err(refusal) }
        })
        .await
    }

    #[tokio::test]
    async fn answers_come_in_the_order_of_the_hosts() {
        let mut failures = Failures::default();
        let answers = asked(&[Ok(1), Err(StatusCode::BAD_GATEWAY), Ok(3)]).await.answers(&mut failures);
        assert_eq!(answers.unwrap(), [("0".to_owned(), 1), ("2".to_owned(), 3)]);
        assert_eq!(failures.message(), "WARNING: nsqd 1: it answered 502 Bad Gateway: X");
        assert!(asked(&[]).await.answers(&mut failures).is_err());
        assert!(asked(&[Err(StatusCode::BAD_GATEWAY)]).await.answers(&mut failures).is_err());
    }

    #[tokio::test]
    async fn what_nobody_has_is_not_found_even_if_somebody_fails() {
        let mut failures = Failures::default();
        let found = asked(&[Err(StatusCode::NOT_FOUND), Ok(2)]).await.found(&mut failures).unwrap();
        assert_eq!(found, Some(vec![("1".to_owned(), 2)]));
        assert!(failures.is_empty());
        let found = asked(&[Err(StatusCode::NOT_FOUND), Err(StatusCode::BAD_GATEWAY)]).await;
        assert_eq!(found.found(&mut failures).unwrap(), None);
        assert!(asked(&[Err(StatusCode::BAD_GATEWAY)]).await.found(&mut failures).is_err());
    }
}
